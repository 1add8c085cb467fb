"""One image, read by regions, enlarged tile by tile, until its pixels are ready to be written.

A result larger than memory is held in a mapped file (`sr.io.canvas`); neither the image nor the
result is ever whole in memory then.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from sr.inference.channels import Alpha, Pixels, Planes, ReadPixels, quantised
from sr.inference.output_size import Target, megapixels_read, num_passes
from sr.io.canvas import make_canvas
from sr.io.image_reader import Header, ImageReader
from sr.tiling.prefetch import Read, Write
from sr.tiling.tiles import Box


class Enlarge(Protocol):
    """`Upscaler.upscale`, or the same on several devices."""

    def __call__(self, height: int, width: int, read: Read, write: Write) -> None: ...


@dataclass(frozen=True)
class Work:
    """What is to be done with one image; known before any of it is."""

    header: Header
    size: tuple[int, int]
    """(height, width) of the result, of one frame."""
    num_passes: int
    num_bands: int
    """Of the result."""
    resampled: bool
    """The network's last result is not of this size yet."""
    depth: int
    """Bits a channel of the result: 8, or more."""
    megapixels: float
    """That the network reads, over all passes and frames, in millions."""


def work_of(header: Header, target: Target, scale: int, alpha: Alpha, depth: int) -> Work:
    """What an image needs. depth: bits a channel of the result.

    Raises TargetError for a size that is out of reach.
    """
    size = target.size(header.height, header.width, scale)
    passes = num_passes((header.height, header.width), size, scale)
    reached = (header.height * scale**passes, header.width * scale**passes)
    has_alpha = header.num_bands in (2, 4)
    num_bands = header.num_bands - (has_alpha and alpha == "drop")
    pixels = header.height * header.width * header.num_frames
    return Work(
        header,
        size,
        passes,
        num_bands,
        resampled=size != reached,
        depth=depth,
        megapixels=megapixels_read(pixels, scale, passes),
    )


def enlarged(
    image: ImageReader,
    work: Work,
    enlarge: Enlarge,
    *,
    scale: int,
    alpha: Alpha,
    dtype: np.dtype[Any],
    folder: Path,
) -> Pixels:
    """The network's result of an image, its frames below each other.

    dtype: uint8 or uint16, the levels of the file that will be written. folder: for results that
    are larger than memory should hold.
    Returns (num_frames*H, W, num_bands) of `dtype`, or of float32 in [0, 1] where the result is
    still to be resampled.
    """
    header = image.header
    frames: list[ReadPixels] = [_frame(image, frame) for frame in range(header.num_frames)]
    height, width, num_bands = header.height, header.width, header.num_bands
    for number in range(1, work.num_passes + 1):
        ready = number == work.num_passes and not work.resampled
        shape = (len(frames) * scale * height, scale * width, work.num_bands)
        canvas = make_canvas(shape, dtype if ready else np.dtype(np.float32), folder=folder)
        for frame, read_pixels in enumerate(frames):
            planes = Planes(read_pixels, height, width, num_bands, scale, alpha)
            part = canvas[frame * scale * height : (frame + 1) * scale * height]
            enlarge(height, width, planes.read, writer_into(part, planes))
            del planes, read_pixels  # and with them what was read, before the next canvas
        height, width, num_bands = scale * height, scale * width, work.num_bands
        frames = [_reader(canvas, frame * height, height) for frame in range(len(frames))]
    return canvas


def _frame(image: ImageReader, frame: int) -> ReadPixels:
    return lambda box: image.read(box.rows, box.columns, frame)


def writer_into(part: npt.NDArray[Any], planes: Planes) -> Write:
    """Puts the network's results into an array (H, W, num_bands) of the levels of its type."""

    def write(box: Box, sr: Tensor) -> None:
        bands = planes.join(box.divided(planes.scale), sr)
        part[box.rows, box.columns] = quantised(bands, part.dtype)

    return write


def _reader(canvas: npt.NDArray[Any], top: int, height: int) -> ReadPixels:
    frame = canvas[top : top + height]
    return lambda box: frame[box.rows, box.columns]
