"""Choose an encoder and its options, all of it checked before any frame is computed.

FFmpeg ignores options that it does not know, and finds wrong values only when it opens the
encoder. So names are looked up first, and then the encoder is opened once on trial.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import av
import cv2
from av.codec.context import CodecContext, Flags, OptionFlags, ThreadType
from av.video.codeccontext import VideoCodecContext

from sr.io.video.encode.codecs import (
    CODECS,
    Codec,
    EncoderError,
    choose_codec,
    choose_preset,
    choose_quality,
    suggest_name,
)
from sr.io.video.encode.pixel_format import choose_color, choose_layout, choose_siting, round_size
from sr.io.video.ffmpeg_log import capture_log
from sr.io.video.formats import keeps_aspect_ratio
from sr.io.video.frame import Color, Layout, Mastering, Siting, VideoInfo

# What x264, x265 and SVT-AV1 print about a parameter of their own that they then ignore.
_REFUSED = re.compile(r"Error parsing option|Unknown option|Invalid value for")
_AVX512 = 256  # OpenCV's number for AVX-512 F, CD, BW, DQ and VL, all of which x264 asks for
_PQ = 16  # H.273: transfer of SMPTE ST 2084
_MASTERING_PARAMS = {  # names of display and light levels; units per 1 of x, y and per cd/m2
    "libx264": ("mastering-display", "cll", 50000, 10000),
    "libx265": ("master-display", "max-cll", 50000, 10000),
    "libsvtav1": ("mastering-display", "content-light", 1, 1),
}
_SET_ELSEWHERE = {
    "pixel_format": "choose it as the pixel format",
    "video_size": "the size of the result is that of its frames",
    "time_base": "the times of the result are those of its source",
    **dict.fromkeys(
        ("color_range", "color_primaries", "color_trc", "colorspace", "aspect", "sar"),
        "it is that of the source",
    ),
}


@dataclass(frozen=True)
class Encoding:
    """How a result is encoded."""

    encoder: str
    """FFmpeg's name."""
    layout: Layout
    """Of the planes that are to be given."""
    frame_format: str
    """FFmpeg's pixel format of the frames that they are put into; `layout`'s, or a packed one."""
    width: int
    """Coded, and so of the planes: it may be more than the result's (`notes` say so)."""
    height: int
    """Likewise."""
    color: Color
    siting: Siting
    options: dict[str, str]
    """With which the encoder is opened."""
    segment_format: Literal["nut", "mov", "matroska"]
    """FFmpeg's container for segments."""
    notes: tuple[str, ...]
    """What is lost or changed, for the user."""


def plan_encoding(
    info: VideoInfo,
    *,
    width: int,
    height: int,
    suffix: str,
    codec: str | None = None,
    crf: float | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Encoding:
    """Plan how to encode a result of `width` by `height` pixels in a file that ends as `suffix`.

    codec: FFmpeg's name of an encoder, or a short one; None: libx264, in .webm VP9. crf: constant
    quality in the encoder's own unit, less is better; None for its default here. preset: speed
    against size, in the encoder's own words. pix_fmt: None: that of the source, as far as the
    encoder takes it. options: further ones of the encoder, which override ours.

    The encoder has been opened once when this returns.
    EncoderError: it is not possible; the message says what was expected and what was given.
    """
    chosen = choose_codec(codec, suffix)
    if suffix.lower() not in chosen.alpha_suffixes:
        chosen = replace(chosen, alpha_suffixes=())
    further = options or {}
    layout, lost = choose_layout(chosen, pix_fmt, info.layout)
    _check_names(chosen.encoder, further)
    coded_width, coded_height, repeated = round_size(chosen, layout, width, height)
    color = choose_color(info, layout)
    siting = choose_siting(chosen, info, layout)
    all_options = {"chroma_sample_location": "center"} if siting == "center" else {}
    all_options |= chosen.defaults
    all_options |= choose_quality(chosen, crf, further) | choose_preset(chosen, preset, further)
    if chosen.encoder == "prores_ks":
        all_options["profile"] = "4444" if layout.chroma_shift == (0, 0) else "hq"
    all_options |= further
    _add_params(all_options, chosen, info.mastering, color, coded_width)
    hides_alpha = layout.alpha and chosen.encoder == "libvpx-vp9"  # next to its frames
    encoding = Encoding(
        encoder=chosen.encoder,
        layout=layout,
        frame_format=chosen.list_layouts()[layout],
        width=coded_width,
        height=coded_height,
        color=color,
        siting=siting,
        options=all_options,
        segment_format="matroska" if hides_alpha else chosen.segment_format,
        notes=(*lost, *repeated, *_describe_losses(chosen, info, suffix)),
    )
    try_encoder(encoding, info.rate)
    return encoding


def try_encoder(encoding: Encoding, rate: Fraction) -> None:
    """Open the encoder once, and close it.

    EncoderError: it does not open, or ignores an option.
    """
    context = CodecContext.create(encoding.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    configure_encoder(context, encoding, rate)
    printed: list[str] = []
    try:
        with capture_log(printed):
            context.open()
    except (av.FFmpegError, OSError, ValueError) as fault:
        raise EncoderError(_describe_refusal(encoding, printed or [str(fault)])) from fault
    refused = [line for line in printed if _REFUSED.search(line)]
    # PyAV leaves those in place that FFmpeg did not take.
    refused += [f"unknown option {name}={value}" for name, value in context.options.items()]
    if refused:
        raise EncoderError(_describe_refusal(encoding, refused))


def configure_encoder(context: VideoCodecContext, encoding: Encoding, rate: Fraction) -> None:
    """Set all that an encoder must know before it is opened. Its unit of time is a frame.

    rate: frames per second. Without a constant rate encoders take it as the average.
    """
    if encoding.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only: there is no option for it
    most = CODECS[encoding.encoder].max_rate
    rate = rate if most is None else min(rate, Fraction(most))
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = encoding.frame_format
    context.framerate = rate
    context.time_base = 1 / rate
    color = encoding.color
    context.colorspace, context.color_range = color.matrix, color.range_number
    context.color_primaries, context.color_trc = color.primaries, color.transfer
    # PyAV's default of slice threads alone makes x264 cut each frame into slices.
    context.thread_type = ThreadType.AUTO
    context.flags |= Flags.global_header
    context.options = dict(encoding.options)


def _check_names(encoder: str, further: Mapping[str, str]) -> None:
    """Refuse options that FFmpeg does not know, which it would ignore."""
    supported = CodecContext.create(encoder, "w").supported_options
    own = [option.name for option in supported.private]
    needed = OptionFlags.ENCODING_PARAM | OptionFlags.VIDEO_PARAM
    known = own + [option.name for option in supported.generic if option.flags & needed == needed]
    for name in further:
        if name in _SET_ELSEWHERE:
            raise EncoderError(
                f"expected no encoder option {name!r}, got one: {_SET_ELSEWHERE[name]}"
            )
        if name not in known:
            raise EncoderError(
                f"expected an option of the encoder {encoder}, "
                f"got {name!r}{suggest_name(name, known) or '; it has ' + ', '.join(own)}"
            )


def _add_params(
    options: dict[str, str], codec: Codec, mastering: Mastering | None, color: Color, width: int
) -> None:
    """Add the encoder's own parameters, but those that the user has given; width: as coded."""
    if codec.params is None:
        return
    params = list(codec.own_params)
    if codec.encoder == "libx264" and cv2.checkHardwareSupport(_AVX512):
        # x264 165's mbtree in AVX-512 reads memory that it never wrote: a resumed run would not
        # give the very frames of an unbroken one.
        params.append("asm=avx2")
    if codec.encoder == "libx265" and 33 <= width <= 48:
        # x265 4.2's cutree in AVX2 writes past its memory where rows have 3 blocks.
        params.append("cutree=0")
    if mastering is not None:
        params += _format_mastering(codec.encoder, mastering)
        if codec.encoder == "libx265" and color.transfer == _PQ:
            params.append("hdr10=1")
    given = options.get(codec.params, "")
    names = set(re.findall(r"(?:^|:)([^=:]+)=", given))
    ours = [param for param in params if param.partition("=")[0] not in names]
    if ours:
        options[codec.params] = ":".join([*ours, *([given] if given else [])])


def _format_mastering(encoder: str, mastering: Mastering) -> list[str]:
    """Format SMPTE ST 2086's display and CTA-861.3's light levels as the encoder's parameters."""
    display_name, light_name, xy, light = _MASTERING_PARAMS[encoder]
    digits = 5 if xy == 1 else 0
    r, g, b, white = (f"({x * xy:.{digits}f},{y * xy:.{digits}f})" for x, y in mastering.primaries)
    most, least = (
        f"{luminance * light:.{digits}f}"
        for luminance in (mastering.max_luminance, mastering.min_luminance)
    )
    params = [f"{display_name}=G{g}B{b}R{r}WP{white}L({most},{least})"]
    if mastering.max_content or mastering.max_average:
        params.append(f"{light_name}={mastering.max_content},{mastering.max_average}")
    return params


def _describe_losses(codec: Codec, info: VideoInfo, suffix: str) -> Iterator[str]:
    """Describe metadata that has no place in the result."""
    if info.mastering is not None and codec.params is None:
        yield f"metadata of the mastering display is lost: {codec.encoder} has no place for it"
    ratio = info.sample_aspect_ratio
    if ratio != 1 and not keeps_aspect_ratio(
        av.codec.Codec(codec.encoder, "w").canonical_name, suffix
    ):
        yield (
            f"the pixels' aspect ratio {float(ratio):.4g} is lost, players will show them square: "
            f"{suffix} has no place for it with {codec.encoder}; choose .mp4, libx264 or libx265"
        )


def _describe_refusal(encoding: Encoding, printed: list[str]) -> str:
    """Return the message for an encoder that does not open as requested."""
    options = " ".join(f"{name}={value}" for name, value in encoding.options.items())
    message = (
        f"the encoder {encoding.encoder} does not open for {encoding.width}x{encoding.height} "
        f"{encoding.frame_format} with {options or 'no options'}: {'; '.join(printed)}"
    )
    if not CODECS[encoding.encoder].on_gpu:
        return message
    return (
        f"{message} (it needs an NVIDIA card with an encoder, which A100, H100 and H200 lack, and "
        "its driver; without one choose libx264, libx265 or libsvtav1)"
    )
