"""The encoders that can be chosen: their names, containers, quality and presets.

All of it was found by trying the FFmpeg that PyAV brings, and tests/io/video/encode/test_encoder.py
checks it; which pixel formats an encoder takes, FFmpeg itself says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import av.codec

from sr.errors import UserError
from sr.io.video.frame import Layout


class EncoderError(UserError):
    """An encoder, or an option of it, that is not available; the message says what is."""


@dataclass(frozen=True)
class Quality:
    """The option for a constant quality."""

    option: str
    lowest: float  # the best image
    highest: float
    default: float
    whole: bool = False  # it takes whole numbers only
    also: Mapping[str, str] = field(default_factory=dict)
    """Options without which it has no effect."""


@dataclass(frozen=True)
class Preset:
    """The option for speed against size."""

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
    """With one of these the user sets the quality."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    params: str | None = None
    """The option that holds the encoder's own parameters, as in a=1:b=2."""
    own_params: tuple[str, ...] = ()
    """Parameters that it always gets, unless the user gives them."""
    rgb: Literal["kept", "444", "420"] = "420"
    """What a source in RGB becomes by default."""
    keeps_gray: bool = False
    alpha_suffixes: tuple[str, ...] = ()
    """Of the files that can hold its streams with transparency."""
    even: bool = True
    """Sizes must be a whole number of chroma samples. (ProRes takes others, and spoils the last
    column of chroma.)"""
    tags_siting: bool = False
    """The stream can say that chroma lies between columns."""
    max_rate: int | None = None
    """Frames per second that it takes at most."""
    max_depth: int = 16
    """Bits per sample that it encodes at most: NVENC lists formats that hold more."""
    only_420: Literal["no", "alpha", "all"] = "no"
    """4:2:0 alone, whatever it lists; alpha: with transparency."""
    segment_format: Literal["nut", "mov"] = "nut"
    """FFmpeg's container for segments of its streams."""
    on_gpu: bool = False

    def list_layouts(self) -> dict[Layout, str]:
        """List the layouts of planes that it encodes, and FFmpeg's pixel format for each.

        EncoderError: FFmpeg was built without it.
        """
        try:
            listed = av.codec.Codec(self.encoder, "w").video_formats or []
        except ValueError as fault:  # of PyAV's UnknownCodecError
            raise EncoderError(f"this build of PyAV has no encoder {self.encoder}") from fault
        layouts: dict[Layout, str] = {}
        for name in sorted((one.name for one in listed), key=_PACKED.__contains__):
            layout = None if name.startswith("yuvj") else Layout.parse(_PACKED.get(name, name))
            if layout is None or (layout.alpha and not self.alpha_suffixes):
                continue
            is_420 = (layout.kind, layout.chroma_shift) == ("yuv", (1, 1))
            if not is_420 and self.only_420 in ("all", "alpha" if layout.alpha else "all"):
                continue
            # FFV1's slices spoil 4:1:1 and 4:1:0 whose sizes are no multiples of 4.
            if max(layout.chroma_shift) < 2 and layout.depth <= self.max_depth:
                layouts.setdefault(layout, name)
        return layouts


_PACKED = {
    "p010le": "yuv420p10le",
    "yuv444p10msble": "yuv444p10le",
    "bgr0": "gbrp",
    "bgra": "gbrap",
    "ya8": "",
}
"""Other arrangements of planar formats, for encoders that take only these; empty: not used."""
_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip
_NVENC_PRESETS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")
_MP4, _MKV, _WEBM = ".mp4", ".mkv", ".webm"


def _describe_nvenc(
    encoder: str, suffixes: tuple[str, ...], highest: int, default: int, **limits: Any
) -> Codec:
    """Describe an encoder of NVIDIA's cards, most of which encode H.264 of 8 bits only."""
    return Codec(
        encoder,
        suffixes,
        # 0 would leave the quality to the card; without b=0 FFmpeg's 2 Mbit/s hold.
        quality=Quality("cq", 1, highest, default, also={"rc": "vbr", "b": "0"}),
        preset=Preset("preset", _NVENC_PRESETS, "p5"),
        rate_options=frozenset({"cq", "qp", "b", "rc"}),
        on_gpu=True,
        **limits,
    )


_ALL = (
    Codec(
        "libx264",
        (_MP4, _MKV),
        quality=Quality("crf", 0, 51, 18),
        # At crf 18: the size of medium, 0.25 dB less, in 0.43 of its time.
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
        # segments written by machines with different numbers of cores have different headers.
        own_params=("log-level=none", "info=0"),
        tags_siting=True,
    ),
    Codec(
        "libsvtav1",
        (_MP4, _MKV, _WEBM),
        # FFmpeg takes 0 as not given.
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
        alpha_suffixes=(_MKV, _WEBM),
        even=False,
        only_420="alpha",
    ),
    Codec(
        "ffv1",
        (_MP4, _MKV),
        defaults={"level": "3", "slicecrc": "1"},
        rgb="kept",
        keeps_gray=True,
        alpha_suffixes=(_MP4, _MKV),
        even=False,
    ),
    Codec("prores_ks", (_MKV,), rgb="444", alpha_suffixes=(_MKV,), segment_format="mov"),
    _describe_nvenc("h264_nvenc", (_MP4, _MKV), highest=51, default=21, max_depth=8),
    _describe_nvenc("hevc_nvenc", (_MP4, _MKV), highest=51, default=24, max_depth=10),
    _describe_nvenc(
        "av1_nvenc", (_MP4, _MKV, _WEBM), highest=63, default=30, max_depth=10, only_420="all"
    ),
)

CODECS: Mapping[str, Codec] = {codec.encoder: codec for codec in _ALL}
"""By FFmpeg's name of the encoder."""

ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("h264", "x264", "avc"), "libx264"),
    **dict.fromkeys(("hevc", "h265", "x265"), "libx265"),
    **dict.fromkeys(("av1", "svtav1"), "libsvtav1"),
    **dict.fromkeys(("vp9", "libvpx"), "libvpx-vp9"),
    "prores": "prores_ks",
    "nvenc": "hevc_nvenc",  # H.264 of these cards ends at 4096 pixels, less than 4x of 720p
}


def find_codec(name: str) -> Codec:
    """Find the codec of that name, which may be an alias.

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
    """Choose the codec `name` for a file that ends as `suffix`; None: libx264, in .webm VP9.

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


def choose_quality(codec: Codec, crf: float | None, further: Mapping[str, str]) -> dict[str, str]:
    """Return options for a constant quality; none if the user's `further` options set it.

    EncoderError: out of range, not a whole number, or set twice.
    """
    quality = codec.quality
    if quality is None:
        if crf is not None:
            why = "is without loss" if codec.encoder == "ffv1" else "has profiles"
            raise EncoderError(f"{codec.encoder} {why} and takes no crf, got {crf:g}")
        return {}
    other = sorted(codec.rate_options & set(further))
    if crf is None:
        return {} if other else {quality.option: f"{quality.default:g}", **quality.also}
    if other:
        raise EncoderError(
            f"crf {crf:g} and the encoder option {other[0]}={further[other[0]]} both set the "
            "quality: give one of them"
        )
    if not quality.lowest <= crf <= quality.highest or (quality.whole and crf != int(crf)):
        kind = "a whole number" if quality.whole else "a number"
        raise EncoderError(
            f"expected a crf of {codec.encoder}, {kind} from {quality.lowest:g} (best) to "
            f"{quality.highest:g}, got {crf:g}"
        )
    return {quality.option: f"{crf:g}", **quality.also}


def choose_preset(codec: Codec, preset: str | None, further: Mapping[str, str]) -> dict[str, str]:
    """Return the option for speed.

    EncoderError: there is none, it is unknown, or set twice.
    """
    known = codec.preset
    if known is None:
        if preset is not None:
            raise EncoderError(f"{codec.encoder} has no presets, got {preset!r}")
        return {}
    if preset is None:
        return {known.option: known.default}
    if known.option in further:
        raise EncoderError(
            f"preset {preset} and the encoder option {known.option}={further[known.option]} are "
            "the same: give one of them"
        )
    if preset not in known.names:
        raise EncoderError(
            f"expected a preset of {codec.encoder}, one of {', '.join(known.names)}, "
            f"got {preset!r}{suggest_name(preset, list(known.names))}"
        )
    return {known.option: preset}


def suggest_name(word: str, known: list[str]) -> str:
    """Return `; did you mean X?`, or nothing."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
