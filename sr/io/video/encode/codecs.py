"""The encoders that can be asked for: their names, options, containers and pixel formats.

What is here was found by trying the FFmpeg that PyAV brings
(tests/io/video/encode/test_encoder.py holds it to that); which pixel formats an encoder takes is
asked of FFmpeg itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

import av.codec

from sr.errors import UserError
from sr.io.video.frame import Layout


class EncoderError(UserError):
    """An encoder, or an option of it, that cannot be had; the message says what can."""


@dataclass(frozen=True)
class Quality:
    """The option by which an encoder takes a constant quality."""

    option: str
    lowest: float
    """The best image."""
    highest: float
    default: float
    whole: bool = False
    """It takes whole numbers only."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Options without which it does not count."""


@dataclass(frozen=True)
class Preset:
    """The option by which an encoder trades time for size."""

    option: str
    names: tuple[str, ...]
    default: str


@dataclass(frozen=True)
class Codec:
    """One encoder of FFmpeg's, and how it is used here."""

    encoder: str
    suffixes: tuple[str, ...]
    """Of the files that can hold its streams."""
    quality: Quality | None = None
    preset: Preset | None = None
    rate_options: frozenset[str] = frozenset()
    """With one of these the user sets the quality himself."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    params: str | None = None
    """The option that holds the encoder's own parameters, as in a=1:b=2."""
    own_params: tuple[str, ...] = ()
    """Parameters that it is always given, if the user does not give them."""
    rgb: Literal["kept", "444", "420"] = "420"
    """What a source in RGB becomes if the user does not choose."""
    keeps_gray: bool = False
    even: bool = True
    """Sizes must be a whole number of chroma samples. (ProRes takes others, and spoils the last
    column of chroma.)"""
    tags_siting: bool = False
    """The stream can tell that chroma lies between columns."""
    max_rate: int | None = None
    """Frames a second that it takes at most."""
    formats: tuple[str, ...] | None = None
    """The pixel formats that are used, None for all that FFmpeg lists and `Layout` knows."""
    packed: Mapping[str, str] = field(default_factory=dict)
    """Formats that it takes in another arrangement: `Layout`'s name to FFmpeg's."""
    segment_format: Literal["nut", "mov"] = "nut"
    """FFmpeg's container for parts of its streams."""
    card: bool = False
    """It is in a graphics card."""

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Of the planes that can be given to it.

        EncoderError: FFmpeg was built without it.
        """
        try:
            listed = av.codec.Codec(self.encoder, "w").video_formats or []
        except ValueError as fault:  # of PyAV's UnknownCodecError
            message = f"this build of PyAV has no encoder {self.encoder}"
            raise EncoderError(message) from fault
        names = self.formats or tuple(f.name for f in listed if not f.name.startswith("yuvj"))
        layouts = (Layout.of(name) for name in (*names, *self.packed))
        # FFV1's slices spoil 4:1:1 and 4:1:0 whose sizes are no multiples of 4.
        usable = (one for one in layouts if one is not None and max(one.chroma_shift) < 2)
        return tuple(dict.fromkeys(usable))


_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip
_NVENC_PRESETS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")
_MP4, _MKV, _WEBM = ".mp4", ".mkv", ".webm"


def _nvenc(
    encoder: str, suffixes: tuple[str, ...], highest: int, default: int, deep: bool
) -> Codec:
    """An encoder of NVIDIA's cards; deep: it takes 10 bits, which H.264 of most cards does not."""
    packed = {"yuv420p10le": "p010le", "yuv444p10le": "yuv444p10msble"}
    return Codec(
        encoder,
        suffixes,
        # 0 would leave the quality to the card; without b=0 FFmpeg's 2 Mbit/s hold.
        quality=Quality("cq", 1, highest, default, also={"rc": "vbr", "b": "0"}),
        preset=Preset("preset", _NVENC_PRESETS, "p5"),
        rate_options=frozenset({"cq", "qp", "b", "rc"}),
        formats=("yuv420p", "yuv444p"),
        packed=packed if deep else {},
        card=True,
    )


_ALL = (
    Codec(
        "libx264",
        (_MP4, _MKV),
        quality=Quality("crf", 0, 51, 18),
        # At crf 18, of enlarged frames: the size of medium, 0.25 dB less, in 0.43 of its time.
        preset=Preset("preset", _X26X_PRESETS, "faster"),
        rate_options=frozenset({"crf", "qp", "b"}),
        params="x264-params",
        tags_siting=True,
    ),
    Codec(
        "libx265",
        (_MP4, _MKV),
        quality=Quality("crf", 0, 51, 20),
        preset=Preset("preset", _X26X_PRESETS, "medium"),
        rate_options=frozenset({"crf", "qp", "b"}),
        params="x265-params",
        # It writes to the terminal by itself. Its text about itself in the headers would make
        # parts written by machines of unlike numbers of cores have unlike headers.
        own_params=("log-level=none", "info=0"),
        tags_siting=True,
    ),
    Codec(
        "libsvtav1",
        (_MP4, _MKV, _WEBM),
        # FFmpeg takes 0 for not given.
        quality=Quality("crf", 1, 63, 28, whole=True),
        preset=Preset("preset", tuple(str(n) for n in range(-1, 14)), "8"),
        rate_options=frozenset({"crf", "qp", "b"}),
        params="svtav1-params",
        even=False,
        max_rate=240,  # SVT-AV1 4.1 refuses more
    ),
    Codec(
        "libvpx-vp9",
        (_MP4, _MKV, _WEBM),
        quality=Quality("crf", 0, 63, 24, whole=True, also={"b": "0"}),
        preset=Preset("cpu-used", ("0", "1", "2", "3", "4", "5"), "3"),
        rate_options=frozenset({"crf", "b", "lossless"}),
        defaults={"deadline": "good", "row-mt": "1", "tile-columns": "2"},
        even=False,
    ),
    Codec(
        "ffv1",
        (_MP4, _MKV),
        defaults={"level": "3", "slicecrc": "1"},
        rgb="kept",
        keeps_gray=True,
        even=False,
        packed={"gbrp": "bgr0"},
    ),
    Codec("prores_ks", (_MKV,), rgb="444", segment_format="mov"),
    _nvenc("h264_nvenc", (_MP4, _MKV), highest=51, default=21, deep=False),
    _nvenc("hevc_nvenc", (_MP4, _MKV), highest=51, default=24, deep=True),
    _nvenc("av1_nvenc", (_MP4, _MKV, _WEBM), highest=63, default=30, deep=True),
)

CODECS: Mapping[str, Codec] = {codec.encoder: codec for codec in _ALL}
"""By FFmpeg's name of the encoder."""

ALIASES: Mapping[str, str] = {
    "h264": "libx264",
    "x264": "libx264",
    "avc": "libx264",
    "hevc": "libx265",
    "h265": "libx265",
    "x265": "libx265",
    "av1": "libsvtav1",
    "svtav1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "libvpx": "libvpx-vp9",
    "prores": "prores_ks",
    "nvenc": "h264_nvenc",
}


def find_codec(name: str) -> Codec:
    """The codec of that name, be it an alias.

    EncoderError: there is none; the message lists those there are.
    """
    encoder = ALIASES.get(name.lower(), name.lower())
    if encoder in CODECS:
        return CODECS[encoder]
    raise EncoderError(
        f"expected a codec among {', '.join(CODECS)} (or for short {', '.join(ALIASES)}), "
        f"got {name!r}{suggest_name(name.lower(), [*CODECS, *ALIASES])}"
    )


def choose_codec(name: str | None, suffix: str) -> Codec:
    """The codec `name` for a file that ends as `suffix`; None: libx264, in .webm VP9.

    EncoderError: unknown, or the container cannot hold it; the message names what it can.
    """
    fits = [codec.encoder for codec in _ALL if suffix.lower() in codec.suffixes]
    if not fits:
        raise EncoderError(f"expected a video that ends in .mp4, .mkv or .webm, got {suffix!r}")
    if name is None:
        return CODECS["libx264" if "libx264" in fits else "libvpx-vp9"]
    codec = find_codec(name)
    if codec.encoder not in fits:
        raise EncoderError(
            f"{suffix} cannot hold what {codec.encoder} writes: "
            f"expected one of {', '.join(fits)}, or a file that ends in "
            f"{' or '.join(codec.suffixes)}"
        )
    return codec


def suggest_name(word: str, known: list[str]) -> str:
    """`; did you mean X?`, or nothing."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
