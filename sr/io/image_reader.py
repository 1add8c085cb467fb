"""Image files of any kind, read region by region: through libvips, others decoded at once.

Read are PNG, JPEG, WebP, TIFF, AVIF, BMP and GIF with 8 or 16 bits per channel, and TIFF of float:
gray or RGB, with or without alpha. Fewer bits and palettes become 8 bits, 10 and 12 bits become 16,
float is limited to [0, 1], CMYK and Lab become sRGB. Other color profiles are not applied: the
pixels stay, and `ImageReader.metadata` holds the profile. Everything else is refused with an
`ImageError`.

An image above 100 MB is decoded to a temporary file without a name, at its first region.

Letters: H, W height and width of one frame in pixels, C bands.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from sr.io.image_convert import convert_pixels
from sr.io.image_facts import ImageFacts, read_facts
from sr.io.image_formats import ImageError
from sr.io.image_load import (
    DAMAGE_HINT,
    Frames,
    LoadedImage,
    LoadOptions,
    convert_errors,
    load_image,
)
from sr.io.image_metadata import Metadata, read_metadata
from sr.io.pipe import is_pipe
from sr.io.read_policy import DEFAULT_MAX_PIXELS, AboveWhite, Damaged

_STRIP_BYTES = 2**22  # fetched at once: libvips holds them twice next to the result
_DTYPES: dict[int, type] = {8: np.uint8, 16: np.uint16, 32: np.float32}


@dataclass(frozen=True)
class Header:
    """What an image is.

    height, width: pixels of one frame, upright. num_frames: 1 unless animated or multi-page.
    num_bands: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. depth: bits per channel, 8, 16,
    or 32 of float. notes: what was converted or left out, in words for the user.
    """

    height: int
    width: int
    num_frames: int
    num_bands: int
    depth: int
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class ImageReader:
    """An open image; regions are read in any order, from any thread.

    bits: of a channel in the file: 8, 10, 12 (the latter two AVIF's), 16 or 32. loader: libvips'
    name of what read it, such as pngload; bmp for BMP. metadata: to be carried to a result; stays
    when the image is closed.
    """

    name: str
    header: Header
    bits: int
    loader: str
    metadata: Metadata
    _frames: list[pyvips.Image]
    _is_strict: bool = True

    def read(
        self, rows: slice = slice(None), columns: slice = slice(None), frame: int = 0
    ) -> npt.NDArray[Any]:
        """Read the pixels of a region; slices mean what they mean for arrays, without a step.

        Returns: (h, w, C), uint8, uint16, or float32 in [0, 1], as `header.depth` says,
        C-contiguous, own memory. Raises `ImageError` if the file is damaged.
        """
        top, bottom, row_step = rows.indices(self.header.height)
        left, right, column_step = columns.indices(self.header.width)
        assert row_step == column_step == 1
        height, width = max(bottom - top, 0), max(right - left, 0)
        dtype = _DTYPES[self.header.depth]
        pixels: npt.NDArray[Any] = np.empty((height, width, self.header.num_bands), dtype)
        if pixels.size == 0:
            return pixels
        with convert_errors(self.name, DAMAGE_HINT if self._is_strict else ""):
            region = pyvips.Region.new(self._frames[frame])  # belongs to one thread
            strip = max(_STRIP_BYTES // pixels[0].nbytes, 1)  # rows
            for row in range(0, height, strip):
                part = pixels[row : row + strip]
                content = region.fetch(left, top + row, width, len(part))
                part[:] = np.frombuffer(content, dtype).reshape(part.shape)
        return pixels

    def close(self) -> None:
        """Release the file and what was decoded."""
        self._frames = []


@contextmanager
def open_image(
    source: Path | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    frames: Frames = "refuse",
    page: int | None = None,
    damaged: Damaged = "stop",
    name: str = "standard input",
    above_white: AboveWhite | None = None,
) -> Iterator[ImageReader]:
    """Open an image file, or the content of one.

    Nothing is decoded yet, except BMP, 8-bit Lab, float, a JPEG without its end, and with
    damaged="continue" every image. max_pixels: of all frames; images with more are refused by their
    header, because a small file can hold endless pixels. frames: what to do with animations and
    several pages. page: of these the only one to be read, counted from 1. damaged: refuse damage,
    or leave empty what cannot be decoded. name: of content, for messages. above_white: what to do
    about values above 1; None refuses those of OpenEXR, and cuts off those of float TIFF.
    """
    image = _read_file(source, LoadOptions(max_pixels, frames, page, damaged, above_white), name)
    try:
        yield image
    finally:
        image.close()


def read_header(source: Path | bytes, **options: Any) -> Header:
    """Return the header of an image that `open_image` would open with these options."""
    with open_image(source, **options) as image:
        return image.header


def _read_file(source: Path | bytes, options: LoadOptions, content_name: str) -> ImageReader:
    pyvips.cache_set_max(0)  # its memory of operations would hold closed images
    logging.getLogger("pyvips").setLevel(logging.ERROR)  # what matters becomes an error or a note
    name = str(source) if isinstance(source, Path) else content_name
    if isinstance(source, Path) and is_pipe(source):
        raise ImageError(f"{name}: expected an image in a file, got a pipe")
    with (
        convert_errors(name),
        source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file,
    ):
        facts = read_facts(file, name)
        loaded = load_image(source, file, name, facts, options)
        return _make_reader(name, facts, loaded, options)


def _make_reader(
    name: str, facts: ImageFacts, loaded: LoadedImage, options: LoadOptions
) -> ImageReader:
    """Convert the images where needed, and turn their frames upright."""
    metadata = read_metadata(loaded.images[0], facts)
    above_white = options.above_white or "clip"
    converted = [
        convert_pixels(image, name, facts, metadata, above_white) for image in loaded.images
    ]
    frames = [
        frame.autorot()
        for each in converted
        for frame in _cut_column(each.image, loaded.num_frames)
    ]
    first = converted[0]
    header = Header(
        frames[0].height,
        frames[0].width,
        len(frames),
        first.image.bands,
        first.depth,
        (*loaded.notes, *facts.notes, *first.notes),
    )
    is_strict = options.damaged == "stop"
    return ImageReader(name, header, first.bits, loaded.loader, first.metadata, frames, is_strict)


def _cut_column(image: pyvips.Image, num_frames: int) -> list[pyvips.Image]:
    if num_frames == 1:
        return [image]
    height = image.height // num_frames
    return [image.crop(0, height * i, image.width, height) for i in range(num_frames)]
