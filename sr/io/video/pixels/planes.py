"""Get the samples of decoded frames as arrays: planar, in the machine's byte order.

Planes, pairs of chroma (nv12), big-endian samples and those in high bits (p010) are taken apart
here, as swscale changes some of them by a level or more. It unpacks the packed formats (rgb24,
yuyv422), whose samples it keeps, into planes of the same depth and chroma.
"""

import re
from dataclasses import replace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.format import VideoFormat

from sr.io.video.frame import Layout, Planes

_CHROMA_SHIFTS = {(0, 0), (1, 0), (1, 1), (0, 1), (2, 0), (2, 2)}
_MIN_DEPTH, _MAX_DEPTH = 8, 16

_PLANAR = re.compile(r"(yuv[aj]?\d{3}p|gbra?p|gray)(\d+(msb)?)?(le|be)?")
_PAIRED = re.compile(r"nv\d\d(le|be)?|p[024]1[026](le|be)")  # Y, then Cb and Cr by turns
_CR_FIRST = ("nv21", "nv42")
_HIGH_BITS = re.compile(r"p\d.*|.*msb..")
_REFUSED = re.compile(r"bayer.*|xyz.*|.*f(16|32)(le|be)")  # raw sensors, other colors, floats


def detect_layout(video_format: VideoFormat, *, alpha: bool = False) -> Layout:
    """Return the planar layout that holds all samples of a format.

    alpha: with those of transparency, if it may have any; else they are left out.
    Raises `ValueError` for those of more than 16 bits, of floats, and raw sensor data.
    """
    name = video_format.name
    alpha = alpha and (video_format.has_palette or has_alpha(video_format))
    layout = Layout.parse(name)
    if layout is not None:
        return replace(layout, alpha=alpha)
    if video_format.has_palette:
        return Layout("rgb", _MIN_DEPTH, alpha=alpha)
    components = [part for part in video_format.components if not part.is_alpha]
    depth = max([_MIN_DEPTH, *(part.bits for part in components)])
    shift = _find_chroma_shift(video_format)
    if depth > _MAX_DEPTH or shift not in _CHROMA_SHIFTS or _REFUSED.fullmatch(name):
        raise ValueError(f"expected RGB, YUV or gray of 8 to 16 bits, got pixel format {name}")
    if video_format.is_rgb:
        return Layout("rgb", depth, alpha=alpha)
    if len(components) == 1:
        return Layout("gray", depth, alpha=alpha)
    return Layout("yuv", depth, shift, alpha)


def has_alpha(video_format: VideoFormat) -> bool:
    """Return whether frames of the format may be transparent (a palette's colors may be, too)."""
    return any(part.is_alpha for part in video_format.components)


def is_transparent(frame: av.VideoFrame) -> bool:
    """Return whether frames like this may be transparent: of a palette by its colors."""
    if not frame.format.has_palette:
        return has_alpha(frame.format)
    return bool((frame.to_ndarray(format="rgba")[..., 3] < 255).any())


def choose_equal_format(video_format: VideoFormat, layout: Layout) -> str:
    """Return the format that frames of another one are converted to, to be as those before."""
    name = video_format.name
    return name if _PLANAR.fullmatch(name) or _PAIRED.fullmatch(name) else layout.pix_fmt


def extract_planes(frame: av.VideoFrame, layout: Layout) -> Planes:
    """Copy the planes of a frame; layout: what `detect_layout` returns for the frame's format.

    Raises `ValueError` for a few formats that FFmpeg can neither hand out nor convert.
    """
    name = frame.format.name
    if not _PLANAR.fullmatch(name) and not _PAIRED.fullmatch(name):
        frame, name = _unpack(frame, layout), layout.pix_fmt
    stored = layout.dtype.newbyteorder(">" if name.endswith("be") else "<")
    samples = [_view_lines(plane, stored) for plane in frame.planes]
    if name.startswith("ya"):
        samples = [samples[0][:, 0::2], samples[0][:, 1::2]]
    elif _PAIRED.fullmatch(name):
        luma, pairs = samples
        samples = [luma, pairs[:, 0::2], pairs[:, 1::2]]
        if name in _CR_FIRST:
            samples[1:] = reversed(samples[1:])
    shapes = layout.shapes(frame.height, frame.width)
    planes = tuple(
        np.array(lines[:height, :width], layout.dtype, order="C")
        for lines, (height, width) in zip(samples, shapes, strict=False)  # alpha may be left out
    )
    if _HIGH_BITS.fullmatch(name):
        planes = tuple(plane >> (16 - layout.depth) for plane in planes)
    if layout.kind == "rgb":
        green, blue, red, *alpha = planes  # FFmpeg's order
        return (red, green, blue, *alpha)
    return planes


def _unpack(frame: av.VideoFrame, layout: Layout) -> av.VideoFrame:
    try:
        return frame.reformat(format=layout.pix_fmt, threads=1)
    except av.FFmpegError as error:
        raise ValueError(
            f"expected a pixel format that FFmpeg converts, got {frame.format.name}"
        ) from error


def _view_lines(plane: av.video.plane.VideoPlane, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return (rows, samples with padding), the plane's own memory."""
    if plane.line_size < 0:
        raise ValueError("expected lines from top to bottom, got an image upside down")
    content = memoryview(plane)
    return np.frombuffer(content, dtype).reshape(-1, plane.line_size // dtype.itemsize)


def _find_chroma_shift(video_format: VideoFormat) -> tuple[int, int]:
    """Return the halvings of chroma's width and height."""
    side = 64  # pixels; any that divides well
    across = side // video_format.chroma_width(side)
    down = side // video_format.chroma_height(side)
    return across.bit_length() - 1, down.bit_length() - 1
