"""The choice of an encoder and its options, all of it checked before any frame is computed.

FFmpeg passes over options that it does not know, and finds wrong values only when it opens the
encoder. So names are looked up first, and then the encoder is opened once on trial.

    encoder      containers        pixel formats
    libx264      mp4 mkv           4:2:0 4:2:2 4:4:4 of 8 and 10 bits, gray
    libx265      mp4 mkv           4:2:0 4:2:2 4:4:4 and RGB of 8, 10 and 12 bits, gray
    libsvtav1    mp4 mkv webm      4:2:0 of 8 and 10 bits
    libvpx-vp9   mp4 mkv webm      4:2:0 4:2:2 4:4:0 4:4:4 and RGB of 8 bits
    ffv1         mp4 mkv           all; without loss
    prores_ks    mkv               4:2:2 4:4:4 of 10 bits
    *_nvenc      as its codec      4:2:0 4:4:4 of 8 bits, of 10 bits but for H.264
"""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import av.logging
from av.codec.context import CodecContext, Flags, ThreadType
from av.video.codeccontext import VideoCodecContext

from sr.io.video.encode.codecs import CODECS, EncoderError, choose_codec
from sr.io.video.encode.encoder_options import add_codec_params, build_options
from sr.io.video.encode.pixel_format import choose_color, choose_layout, choose_siting, round_size
from sr.io.video.frame import Color, Layout, Siting, VideoInfo

_LOGGING = threading.Lock()
# What x264, x265 and SVT-AV1 say of a parameter of their own that they then pass over.
_REFUSED = re.compile(r"Error parsing option|Unknown option|Invalid value for")


@dataclass(frozen=True)
class Encoding:
    """What will be done."""

    encoder: str
    """FFmpeg's name."""
    layout: Layout
    """Of the planes that are to be given."""
    frame_format: str
    """FFmpeg's pixel format of the frames that they are put into; `layout`'s, or a packed one."""
    width: int
    """Coded, and so of the planes: it may be more than was asked for (`notes` tell)."""
    height: int
    """Likewise."""
    color: Color
    siting: Siting
    options: dict[str, str]
    """As the encoder is opened with."""
    segment_format: Literal["nut", "mov"]
    """FFmpeg's container for parts."""
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
    """What to do for a result of `width` by `height` pixels in a file that ends as `suffix`.

    codec: FFmpeg's name of an encoder, or a short one; None: libx264, in .webm VP9. crf: constant
    quality in the encoder's own unit, less is better; None for its default here. preset: speed
    against size, in the encoder's own words. pix_fmt: None for the source's, as far as the encoder
    takes it. options: further ones of the encoder, passed on as they are.
    The encoder has been opened once when this returns.
    EncoderError: it cannot be done; the message says what was expected and what was given.
    """
    chosen = choose_codec(codec, suffix)
    layout, lost = choose_layout(chosen, pix_fmt, info.layout)
    coded_width, coded_height, repeated = round_size(chosen, layout, width, height)
    color = choose_color(info, layout)
    siting = choose_siting(chosen, info, layout)
    built = build_options(chosen, crf=crf, preset=preset, further=options or {}, layout=layout)
    if siting == "center":
        built = {"chroma_sample_location": "center"} | built
    built, unplaced = add_codec_params(
        chosen, built, mastering=info.mastering, color=color, width=coded_width
    )
    encoding = Encoding(
        encoder=chosen.encoder,
        layout=layout,
        frame_format=chosen.packed.get(layout.pix_fmt, layout.pix_fmt),
        width=coded_width,
        height=coded_height,
        color=color,
        siting=siting,
        options=built,
        segment_format=chosen.segment_format,
        notes=(*lost, *repeated, *unplaced),
    )
    try_encoder(encoding, info.rate)
    return encoding


def try_encoder(encoding: Encoding, rate: Fraction) -> None:
    """Open the encoder once, and close it.

    EncoderError: it does not open, or passes over an option.
    """
    context = CodecContext.create(encoding.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    configure_encoder(context, encoding, rate)
    said: list[str] = []
    try:
        with _log(said):
            context.open()
    except (av.FFmpegError, OSError, ValueError) as fault:
        raise EncoderError(_refusal(encoding, said or [str(fault)])) from fault
    refused = [line for line in said if _REFUSED.search(line)]
    # PyAV leaves those in place that FFmpeg did not take.
    refused += [f"unknown option {name}={value}" for name, value in context.options.items()]
    if refused:
        raise EncoderError(_refusal(encoding, refused))


def configure_encoder(context: VideoCodecContext, encoding: Encoding, rate: Fraction) -> None:
    """Give an encoder that is not open yet all that it must know. Its unit of time is a frame.

    rate: frames a second. Without a constant rate encoders take it for the average.
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


@contextmanager
def _log(said: list[str]) -> Iterator[None]:
    """Put what FFmpeg says in this thread, warnings and worse, into `said`."""
    with _LOGGING:  # the level is one of the whole process
        level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.WARNING)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture(local=True) as lines:
                yield
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(skip)
            said += [message.strip() for _, _, message in lines]


def _refusal(encoding: Encoding, said: list[str]) -> str:
    """The message of an encoder that does not open as it was asked to."""
    options = " ".join(f"{name}={value}" for name, value in encoding.options.items())
    message = (
        f"the encoder {encoding.encoder} does not open for {encoding.width}x{encoding.height} "
        f"{encoding.frame_format} with {options or 'no options'}: {'; '.join(said)}"
    )
    if not CODECS[encoding.encoder].card:
        return message
    return (
        f"{message} (it needs an NVIDIA card with an encoder, and its driver; without one choose "
        "libx264, libx265 or libsvtav1)"
    )
