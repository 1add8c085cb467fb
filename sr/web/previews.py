"""Small copies of images for the page, and crops that are upscaled before the whole is.

Only these go to the browser; results themselves are downloaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from sr.inference.options import OutputOptions
from sr.inference.output_size import choose_size
from sr.io.atomic_write import atomic_write
from sr.io.image_formats import ImageError
from sr.io.image_load import convert_errors
from sr.io.image_reader import open_image

MAX_SIDE = 1600  # of what goes to the browser
CROP_SIDE = 224  # LR pixels: about a megapixel at x4, a second or less on two cores
MIN_CROP_SIDE, MAX_CROP_SIDE = 32, 512  # about four megapixels at x4

Box = tuple[int, int, int, int]
"""A part of an image: left, top, width and height in its pixels."""


@dataclass(frozen=True)
class Crop:
    """A part of an image, saved as a file of its own."""

    file: Path
    size: tuple[int, int]
    """(height, width) that its result has to have."""


def save_preview(source: Path, target: Path, max_side: int = MAX_SIDE) -> tuple[int, int]:
    """Save a copy of the first frame, at most `max_side` long, as .png or .webp.

    The source is not whole in memory. Returns (height, width) of the copy. Raises ImageError.
    """
    with convert_errors(str(source)), source.open("rb") as file:
        opened = pyvips.Source.new_from_descriptor(file.fileno())
        image = pyvips.Image.thumbnail_source(opened, max_side, height=max_side, size="down")
        if image.interpretation != "b-w":
            image = image.colourspace("srgb")
        _write(image, target)
    return image.height, image.width


def save_pair(before: Path, after: Path, folder: Path, *, max_pixels: int) -> tuple[Path, Path]:
    """Save a result and its source, enlarged to the same size, both bounded; return the files."""
    files = folder / f"{after.stem}_before.webp", folder / f"{after.stem}_after.webp"
    height, width = save_preview(after, files[1])
    with open_image(before, max_pixels=max_pixels, frames="each") as image:
        pixels = _to_vips(image.read())
        factors = width / image.header.width, height / image.header.height
        _write(pixels.resize(factors[0], vscale=factors[1], kernel="cubic"), files[0])
    return files


def save_crop(
    source: Path,
    target: Path,
    output: OutputOptions,
    scale: int,
    *,
    box: Box | None = None,
    max_pixels: int,
) -> Crop:
    """Save a crop as a PNG, and say how large it becomes.

    box: None for one in the middle; else moved into the image, and at most `MAX_CROP_SIDE` long.
    scale: of the model. Raises ImageError, and TargetError as a run does.
    """
    with open_image(source, max_pixels=max_pixels, frames="each") as image:
        header = image.header
        left, top, width, height = box or (
            (header.width - CROP_SIDE) // 2,
            (header.height - CROP_SIDE) // 2,
            CROP_SIDE,
            CROP_SIDE,
        )
        rows = _choose_range(header.height, top, height)
        columns = _choose_range(header.width, left, width)
        pixels = image.read(rows, columns)
    height, width = choose_size(output, header.height, header.width, scale)
    size = (
        max(round(pixels.shape[0] * height / header.height), 1),
        max(round(pixels.shape[1] * width / header.width), 1),
    )
    _write(_to_vips(pixels), target)
    return Crop(target, size)


def _choose_range(length: int, start: int, side: int) -> slice:
    side = min(max(side, MIN_CROP_SIDE), MAX_CROP_SIDE, length)
    start = min(max(start, 0), length - side)
    return slice(start, start + side)


def _to_vips(pixels: npt.NDArray[Any]) -> pyvips.Image:
    """Convert pixels (H, W, C) of 8 or 16 bits, or float in [0, 1], to an image of 8 bits."""
    if pixels.dtype == np.float32:
        pixels = np.round(255 * pixels.clip(0, 1)).astype(np.uint8)
    elif pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    kinds = "b-w" if pixels.shape[2] <= 2 else "srgb"
    image = pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels).data,
        pixels.shape[1],
        pixels.shape[0],
        pixels.shape[2],
        "uchar",
    )
    return image.copy(interpretation=kinds)


def _write(image: pyvips.Image, target: Path) -> None:
    """Write .webp or .png; a page that reads the file meanwhile gets the old one."""
    try:
        with atomic_write(target) as file:
            if target.suffix == ".webp":
                image.webpsave(str(file), Q=92)
            else:
                image.pngsave(str(file), compression=1)
    except pyvips.Error as error:
        raise ImageError(f"{target}: cannot be written ({error})") from error


def split_frame(preview: Path, target: Path) -> tuple[Path, Path]:
    """Save both halves of a preview of `infer.py --preview`, bounded; return the files.

    target: one name for the two; if they are there already they stay.
    """
    files = target.with_stem(f"{target.stem}_before"), target.with_stem(f"{target.stem}_after")
    if not all(file.exists() for file in files):
        from sr.inference.video.previews import GAP  # and torch, which the page starts without

        image = pyvips.Image.new_from_file(str(preview), memory=True)
        width = (image.width - GAP) // 2
        factor = min(1.0, MAX_SIDE / max(width, image.height))
        for file, left in zip(files, (0, width + GAP), strict=True):
            _write(image.crop(left, 0, width, image.height).resize(factor), file)
    return files
