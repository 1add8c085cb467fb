"""Image files of any kind, read region by region: through libvips, BMP through OpenCV.

Read are PNG, JPEG, WebP, TIFF, AVIF, BMP and GIF with 8 or 16 bits per channel: gray or RGB, with
or without alpha. Fewer bits and palettes become 8 bits, 10 and 12 bits become 16, CMYK becomes
sRGB. Other color profiles are not applied: the pixels stay, and `ImageReader.metadata` holds the
profile. Everything else is refused with an `ImageError`.

An image above 100 MB is decoded to a temporary file without a name, at its first region.

Letters: H, W height and width of one frame in pixels, C bands.
"""

import io
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pyvips

from sr.io.image_formats import ImageError, get_first_line
from sr.io.image_metadata import Metadata, profile_fits, read_metadata
from sr.io.pipe import is_pipe

DEFAULT_MAX_PIXELS = 1_000_000_000

_MAX_BITMAP_PIXELS = 2**28  # a BMP is decoded whole: at most 1 GiB
_STRIP_BYTES = 2**22  # fetched at once: libvips holds them twice next to the result
_PNG = b"\x89PNG\r\n\x1a\n"
_LOADERS = ("pngload", "jpegload", "webpload", "tiffload", "heifload", "gifload")
_EXPECTED = "expected an image (PNG, JPEG, WebP, TIFF, AVIF, BMP or GIF)"
_BANDS = {  # of the pixel kinds that are read, by libvips' format and interpretation
    ("uchar", "b-w"): (1, 2),
    ("uchar", "srgb"): (3, 4),
    ("uchar", "cmyk"): (4,),
    ("ushort", "grey16"): (1, 2),
    ("ushort", "rgb16"): (3, 4),
    ("ushort", "cmyk"): (4,),
}


@dataclass(frozen=True)
class Header:
    """What an image is.

    height, width: pixels of one frame, upright. num_frames: 1 unless animated or multi-page.
    num_bands: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. depth: 8 or 16 bits per channel.
    notes: conversions that were made, in words for the user.
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

    bits: of a channel in the file: 8, 10, 12 (the latter two AVIF's) or 16. loader: libvips' name
    of what read it, such as pngload; bmp for BMP. metadata: to be carried to a result; stays when
    the image is closed.
    """

    name: str
    header: Header
    bits: int
    loader: str
    metadata: Metadata
    _frames: list[pyvips.Image]

    def read(
        self, rows: slice = slice(None), columns: slice = slice(None), frame: int = 0
    ) -> npt.NDArray[Any]:
        """Read the pixels of a region; slices mean what they mean for arrays, without a step.

        Returns: (h, w, C), uint8 or uint16 as `header.depth` says, C-contiguous, own memory.
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
        with _convert_errors(self.name):
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
    frames: Literal["refuse", "each"] = "refuse",
    name: str = "standard input",
) -> Iterator[ImageReader]:
    """Open an image file, or the content of one; nothing is decoded yet, except BMP.

    max_pixels: of all frames; images with more are refused by their header, because a small
    file can hold endless pixels. frames: what to do with animations and several pages. name: of
    content, for messages.
    """
    image = _read_file(source, max_pixels, frames, name)
    try:
        yield image
    finally:
        image.close()


def read_header(source: Path | bytes, **options: Any) -> Header:
    """Return the header of an image that `open_image` would open with these options."""
    with open_image(source, **options) as image:
        return image.header


def _read_file(
    source: Path | bytes, max_pixels: int, frames: str, content_name: str
) -> ImageReader:
    pyvips.cache_set_max(0)  # its memory of operations would hold closed images
    name = str(source) if isinstance(source, Path) else content_name
    if isinstance(source, Path) and is_pipe(source):
        raise ImageError(f"{name}: {_EXPECTED} in a file, got a pipe")
    with (
        _convert_errors(name),
        source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file,
    ):
        head = file.read(8)
        if not head:
            raise ImageError(f"{name}: {_EXPECTED}, got an empty file")
        if head == _PNG and _has_animation_chunk(file):
            raise ImageError(f"{name}: {_EXPECTED}, got an animated PNG")
        file.seek(0)
        if head[:2] == b"BM":
            image, num_frames, loader = _load_bitmap(file, name, max_pixels), 1, "bmp"
        else:
            image, num_frames = _load_with_vips(source, file, name, max_pixels, frames)
            loader = image.get("vips-loader").removesuffix("_source")
        if image.bands not in _BANDS.get((image.format, image.interpretation), ()):
            raise ImageError(
                f"{name}: expected 8 or 16 bits per channel, gray, RGB or CMYK, got {image.bands}"
                f" channel(s) of type {image.format} (color space {image.interpretation})"
            )
        return _make_reader(name, image, num_frames, loader)


@contextmanager
def _convert_errors(name: str) -> Iterator[None]:
    """Turn errors of a file and of its content into `ImageError`."""
    try:
        yield
    except pyvips.Error as error:
        if "wbuffer_write: write failed" in str(error):  # libvips' words
            raise ImageError(
                f"{name}: could not be decoded to a temporary file, as large images are:"
                f" no room in {tempfile.gettempdir()}. Set TMPDIR to a folder with more"
            ) from error
        raise ImageError(
            f"{name}: {_EXPECTED}, got a file of another kind, damaged or cut short"
            f" ({get_first_line(error)})"
        ) from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: {_EXPECTED}, got a folder") from error
    except OSError as error:
        raise ImageError(f"{name}: could not be read: {error.strerror}") from error


def _has_animation_chunk(file: BinaryIO) -> bool:
    """Return whether a PNG, read up to its first chunk, has acTL; libvips would read one frame."""
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind in (b"acTL", b"IDAT"):
            return bool(kind == b"acTL")
        file.seek(length + 4, os.SEEK_CUR)  # the chunk and its checksum
    return False


def _load_with_vips(
    source: Path | bytes, file: BinaryIO, name: str, max_pixels: int, frames: str
) -> tuple[pyvips.Image, int]:
    """Return the image, with all its frames in a column, and their number."""
    first = _open_with_vips(source, file)
    if not first.get("vips-loader").startswith(_LOADERS):
        raise ImageError(f"{name}: {_EXPECTED}, got a file of another kind")
    num_frames = first.get("n-pages") if first.get_typeof("n-pages") else 1
    if num_frames > 1 and frames == "refuse":
        raise ImageError(
            f"{name}: expected an image of one frame, got {num_frames} pages or frames"
        )
    _check_num_pixels(name, first.height, first.width, num_frames, max_pixels)
    if num_frames == 1:
        return first, 1
    del first  # it reads from the same place of the file
    file.seek(0)
    try:
        return _open_with_vips(source, file, n=-1), num_frames
    except pyvips.Error as error:
        if "differs" not in str(error):
            raise
        raise ImageError(
            f"{name}: expected frames or pages of one size, got {num_frames} of several"
        ) from error


def _open_with_vips(source: Path | bytes, file: BinaryIO, **options: int) -> pyvips.Image:
    """Open lazily for any order.

    By descriptor, not by name: libvips remembers images by name (a changed file would come back
    unchanged), and takes "[...]" in a name for options.
    """
    if isinstance(source, Path):
        opened = pyvips.Source.new_from_descriptor(file.fileno())  # a duplicate, its own to close
    else:
        opened = pyvips.Source.new_from_memory(source)
    return pyvips.Image.new_from_source(opened, "", access="random", fail_on="error", **options)


def _load_bitmap(file: BinaryIO, name: str, max_pixels: int) -> pyvips.Image:
    """Decode a BMP, which libvips does not read."""
    header = file.read(26)
    if len(header) < 26:
        raise ImageError(f"{name}: {_EXPECTED}, got a BMP cut short")
    is_os2 = header[14:18] == b"\x0c\0\0\0"  # its header has shorter fields
    width, height = struct.unpack_from("<HH" if is_os2 else "<ii", header, 18)
    if width <= 0 or height == 0:
        raise ImageError(f"{name}: {_EXPECTED}, got a BMP of {width}x{height} pixels")
    height = abs(height)  # if negative, the top row comes first
    _check_num_pixels(name, height, width, 1, max_pixels)
    if height * width > _MAX_BITMAP_PIXELS:
        raise ImageError(
            f"{name}: expected a BMP of at most {_MAX_BITMAP_PIXELS} pixels, got {width}x{height}"
        )
    pixels = cv2.imdecode(np.frombuffer(header + file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[:2] != (height, width):
        raise ImageError(f"{name}: {_EXPECTED}, got a BMP that is damaged or cut short")
    num_bands = pixels[0, 0].size
    if num_bands > 1:
        pixels = pixels[..., [2, 1, 0, 3][:num_bands]]  # OpenCV's order is BGR
    content = np.ascontiguousarray(pixels).data
    image = pyvips.Image.new_from_memory(content, width, height, num_bands, "uchar")
    return image.copy(interpretation="b-w" if num_bands == 1 else "srgb")


def _check_num_pixels(name: str, height: int, width: int, num_frames: int, max_pixels: int) -> None:
    if height * width * num_frames > max_pixels:
        frames = f" in {num_frames} frames" if num_frames > 1 else ""
        raise ImageError(
            f"{name}: expected at most {max_pixels} pixels, got {width}x{height}{frames}."
            " --max-pixels allows more"
        )


def _make_reader(name: str, image: pyvips.Image, num_frames: int, loader: str) -> ImageReader:
    """Convert `image` where needed, and turn its frames upright."""
    metadata, notes = read_metadata(image), []
    depth = bits = 8 if image.format == "uchar" else 16
    if loader == "heifload" and depth == 16:
        bits = image.get("bits-per-sample")
        image = image | (image >> bits)  # libvips shifts them left: so that white is 65535
    if image.interpretation == "cmyk":
        origin = (
            "through its profile" if metadata.profile else "as it has no profile, of a usual kind"
        )
        notes.append(f"CMYK converted to sRGB, {origin}")
        image = image.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk",  # where none is embedded
            intent="relative",
            black_point_compensation=True,
            depth=depth,
        )
        metadata = replace(metadata, profile=None)
    elif metadata.profile and not profile_fits(metadata.profile, image.bands):
        notes.append("color profile left out: damaged, or for another kind of pixels")
        metadata = replace(metadata, profile=None)
    height = image.height // num_frames
    frames = [
        (image.crop(0, height * frame, image.width, height) if num_frames > 1 else image).autorot()
        for frame in range(num_frames)
    ]
    size = (frames[0].height, frames[0].width)
    header = Header(*size, num_frames, image.bands, depth, tuple(notes))
    return ImageReader(name, header, bits, loader, metadata, frames)
