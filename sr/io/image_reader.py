"""ImageReader files of any kind, read region by region, through libvips.

Read are PNG, JPEG, WebP, TIFF, AVIF, BMP and GIF with 8 or 16 bits a channel: gray or RGB, with or
without alpha. Fewer bits and palettes come as 8 bits, 10 and 12 bits as 16, CMYK as sRGB. Other
color profiles are not applied: the pixels stay, the profile is `ImageReader.metadata`'s. Whatever
else comes is refused with an `ImageError`.

An image above 100 MB is decoded to a temporary file without a name, at its first region.

Letters: H, W height and width of one frame in pixels, C bands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyvips

from sr.io.bmp import MAX_PIXELS as MAX_BITMAP_PIXELS
from sr.io.bmp import BitmapError, read_bitmap, read_bitmap_size
from sr.io.image_metadata import Metadata, profile_fits, read_metadata
from sr.io.image_source import ImageError, convert_errors, detect_format, name_source, open_file

DEFAULT_MAX_PIXELS = 1_000_000_000

_STRIP_BYTES = 2**22  # fetched at once: libvips holds them twice next to the result
_EXPECTED = "expected an image (PNG, JPEG, WebP, TIFF, AVIF, BMP or GIF)"
_EXPECTED_PIXELS = "expected 8 or 16 bits a channel, gray, RGB or CMYK"
_BANDS = {  # of the pixel kinds that are taken, by libvips' format and interpretation
    ("uchar", "b-w"): (1, 2),
    ("uchar", "srgb"): (3, 4),
    ("uchar", "cmyk"): (4,),
    ("ushort", "gray16"): (1, 2),
    ("ushort", "rgb16"): (3, 4),
    ("ushort", "cmyk"): (4,),
}


@dataclass(frozen=True)
class Header:
    """What an image is.

    height, width: pixels of one frame, upright. num_frames: 1 unless animated or multi-page.
    num_bands: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. depth: 8 or 16 bits a channel.
    notes: conversions that were made, in words for the user.
    """

    height: int
    width: int
    num_frames: int
    num_bands: int
    depth: int
    notes: tuple[str, ...] = ()


class ImageReader:
    """An open image; regions are read in any order, from any thread.

    bits: that a channel has in the file, 8, 10, 12 (the latter two AVIF's) or 16.
    metadata: to be carried to a result; stays when the image is closed.
    """

    def __init__(
        self, name: str, frames: list[pyvips.Image], header: Header, bits: int, metadata: Metadata
    ) -> None:
        self.name = name
        self.header = header
        self.bits = bits
        self.metadata = metadata
        self._frames = frames

    def read(self, rows: slice, columns: slice, frame: int = 0) -> npt.NDArray[Any]:
        """The pixels of a region; slices mean what they mean for arrays, without a step.

        Returns: (h, w, C), uint8 or uint16 as `header.depth` tells, C-contiguous, own memory.
        Raises `ImageError` if the file is damaged.
        """
        top, bottom, row_step = rows.indices(self.header.height)
        left, right, column_step = columns.indices(self.header.width)
        assert row_step == column_step == 1
        height, width = max(bottom - top, 0), max(right - left, 0)
        dtype = np.uint8 if self.header.depth == 8 else np.uint16
        pixels = np.empty((height, width, self.header.num_bands), dtype)
        if pixels.size == 0:
            return pixels
        with convert_errors(self.name, _EXPECTED):
            region = pyvips.Region.new(self._frames[frame])  # one thread's own
            strip = max(_STRIP_BYTES // pixels[0].nbytes, 1)  # rows
            for row in range(0, height, strip):
                part = pixels[row : row + strip]
                content = region.fetch(left, top + row, width, len(part))
                part[:] = np.frombuffer(content, dtype).reshape(part.shape)
        return pixels

    def close(self) -> None:
        """Let go of the file and of what was decoded."""
        self._frames = []


@contextmanager
def open_image(
    source: Path | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    frames: Literal["refuse", "each"] = "refuse",
) -> Iterator[ImageReader]:
    """Open an image file, or the content of one; nothing is decoded yet, but for BMP, all of it.

    max_pixels: of all frames; images with more are refused by their header, because a small
    file can hold endless pixels. frames: what to do with animations and several pages.
    """
    image = _opened(source, max_pixels, frames)
    try:
        yield image
    finally:
        image.close()


def read_header(
    source: Path | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    frames: Literal["refuse", "each"] = "refuse",
) -> Header:
    """The header of an image that `open_image` would open, without its pixels."""
    with open_image(source, max_pixels=max_pixels, frames=frames) as image:
        return image.header


def _opened(source: Path | bytes, max_pixels: int, frames: str) -> ImageReader:
    pyvips.cache_set_max(0)  # its memory of operations would hold closed images
    name = name_source(source)
    with convert_errors(name, _EXPECTED), open_file(source, _EXPECTED) as file:
        kind = detect_format(file.read(16))
        file.seek(0)
        if kind is None:
            raise ImageError(f"{name}: {_EXPECTED}, got a file of another kind")
        if kind == "bmp":
            image, num_frames = _load_bitmap(file, name, max_pixels), 1
        else:
            image, num_frames = _load(source, file, name, max_pixels, frames)
        _refuse_other_kinds(name, image)
        return _image_of(name, image, num_frames, heif=kind == "heif")


def _load(
    source: Path | bytes, file: BinaryIO, name: str, max_pixels: int, frames: str
) -> tuple[pyvips.Image, int]:
    """The image, with all its frames in a column, and their number."""
    first = _vips_image(source, file)
    num_frames = first.get("n-pages") if first.get_typeof("n-pages") else 1
    if num_frames > 1 and frames == "refuse":
        raise ImageError(
            f"{name}: expected an image of one frame, got {num_frames} pages or frames"
        )
    _refuse_too_many_pixels(name, first.height, first.width, num_frames, max_pixels)
    if num_frames == 1:
        return first, 1
    del first  # it reads from the same place of the file
    file.seek(0)
    try:
        return _vips_image(source, file, n=-1), num_frames
    except pyvips.Error as error:
        if "differs" not in str(error):
            raise
        raise ImageError(
            f"{name}: expected frames or pages of one size, got {num_frames} of several"
        ) from error


def _vips_image(source: Path | bytes, file: BinaryIO, **options: int) -> pyvips.Image:
    """Open lazily for any order, by descriptor: libvips remembers images by their name."""
    if isinstance(source, Path):
        opened = pyvips.Source.new_from_descriptor(file.fileno())  # a duplicate, its own to close
    else:
        opened = pyvips.Source.new_from_memory(source)
    return pyvips.Image.new_from_source(opened, "", access="random", fail_on="error", **options)


def _load_bitmap(file: BinaryIO, name: str, max_pixels: int) -> pyvips.Image:
    try:
        height, width = read_bitmap_size(file.read(64))
        _refuse_too_many_pixels(name, height, width, 1, max_pixels)
        if height * width > MAX_BITMAP_PIXELS:
            raise BitmapError(f"a BMP of {width}x{height}, more than {MAX_BITMAP_PIXELS} pixels")
        file.seek(0)
        pixels = read_bitmap(file.read())  # (H, W, C)
    except BitmapError as error:
        raise ImageError(f"{name}: {_EXPECTED}, got {error}") from error
    num_bands = pixels.shape[2]
    image = pyvips.Image.new_from_memory(pixels.data, width, height, num_bands, "uchar")
    return image.copy(interpretation="b-w" if num_bands == 1 else "srgb")


def _refuse_too_many_pixels(
    name: str, height: int, width: int, num_frames: int, max_pixels: int
) -> None:
    if height * width * num_frames > max_pixels:
        frames = f" in {num_frames} frames" if num_frames > 1 else ""
        raise ImageError(
            f"{name}: expected at most {max_pixels} pixels, got {width}x{height}{frames}."
            " --max-pixels allows more"
        )


def _refuse_other_kinds(name: str, image: pyvips.Image) -> None:
    bands = _BANDS.get((image.format, image.interpretation), ())
    if image.bands not in bands:
        raise ImageError(
            f"{name}: {_EXPECTED_PIXELS}, got {image.bands} channel(s) of type {image.format}"
            f" (color space {image.interpretation})"
        )


def _image_of(name: str, image: pyvips.Image, num_frames: int, *, heif: bool) -> ImageReader:
    """An image with `image` as its frames, converted and turned upright."""
    metadata, notes = read_metadata(image), []
    depth = bits = 8 if image.format == "uchar" else 16
    if heif and depth == 16:
        bits = image.get("bits-per-sample")
        image = image | (image >> bits)  # libvips shifts them left: so that white is 65535
    if image.interpretation == "cmyk":
        origin = (
            "through its profile" if metadata.profile else "as it has no profile, of a usual kind"
        )
        notes.append(f"CMYK converted to sRGB, {origin}")
        image = _cmyk_to_srgb(image, depth)
        metadata = replace(metadata, profile=None)
    elif metadata.profile and not profile_fits(metadata.profile, image.bands):
        notes.append("color profile left out: damaged, or for another kind of pixels")
        metadata = replace(metadata, profile=None)
    height = image.height // num_frames
    frames = [
        (image.crop(0, height * frame, image.width, height) if num_frames > 1 else image).autorot()
        for frame in range(num_frames)
    ]
    upright = frames[0]
    header = Header(upright.height, upright.width, num_frames, image.bands, depth, tuple(notes))
    return ImageReader(name, frames, header, bits, metadata)


def _cmyk_to_srgb(image: pyvips.Image, depth: int) -> pyvips.Image:
    return image.icc_transform(
        "srgb",
        embedded=True,
        input_profile="cmyk",  # where none is embedded
        intent="relative",
        black_point_compensation=True,
        depth=depth,
    )
