"""Files that a browser or a program has sent: refused where they are too large or no images."""

import re
from collections.abc import Sequence
from pathlib import Path

from sr.errors import UserError
from sr.inference.options import OutputOptions
from sr.inference.output_size import choose_size
from sr.io import jpeg_segments, png_chunks, tiff_directories
from sr.io.image_formats import EXPECTED, READABLE_SUFFIXES, ImageError
from sr.io.image_reader import Header, open_image
from sr.web.settings import Settings

_UNSAFE = re.compile(r"[^\w.\- ()]+")


class TooLargeError(UserError):
    """A file, an image, or the result that is asked for is larger than this server takes."""


class NotAnImageError(UserError):
    """A file of another kind."""


def check_upload(file: Path, name: str, settings: Settings) -> Header:
    """Return the header of an uploaded image.

    Raises TooLargeError, NotAnImageError, and ImageError for an image that is damaged.
    """
    check_size(file, name, settings)
    if file.suffix.lower() not in READABLE_SUFFIXES:
        raise NotAnImageError(f"{name}: {EXPECTED}, got {file.suffix or 'a name without suffix'}")
    try:
        with open_image(file, max_pixels=2**62, frames="each") as image:
            header = image.header
    except ImageError as error:
        message = str(error).replace(str(file), name)
        if not _has_known_start(file):
            raise NotAnImageError(message) from None
        raise ImageError(message) from None
    num_pixels = header.height * header.width * header.num_frames
    if num_pixels > settings.max_upload_pixels:
        raise TooLargeError(
            f"{name}: expected at most {settings.max_upload_pixels:,} pixels, got"
            f" {header.width}x{header.height}"
        )
    return header


def check_size(file: Path, name: str, settings: Settings) -> None:
    """Raise TooLargeError for a file of too many bytes."""
    size = file.stat().st_size
    if size > settings.max_upload:
        raise TooLargeError(f"{name}: expected at most {settings.max_upload:,} bytes, got {size:,}")


def check_result(
    header: Header, output: OutputOptions, scale: int, name: str, settings: Settings
) -> tuple[int, int]:
    """Return (height, width) of the result. Raises TooLargeError."""
    height, width = choose_size(output, header.height, header.width, scale)
    if height * width * header.num_frames > settings.max_result_pixels:
        raise TooLargeError(
            f"{name}: expected a result of at most {settings.max_result_pixels:,} pixels, got"
            f" {width}x{height}"
        )
    return height, width


def _has_known_start(file: Path) -> bool:
    """Whether it is an image of a kind that is read, though perhaps damaged."""
    with file.open("rb") as opened:
        head = opened.read(12)
    is_webp = head.startswith(b"RIFF") and head.endswith(b"WEBP")
    is_avif = head[4:8] == b"ftyp"
    starts = (
        png_chunks.SIGNATURE,
        jpeg_segments.SIGNATURE,
        *tiff_directories.MAGIC,
        b"GIF8",
        b"BM",
    )
    return is_webp or is_avif or head.startswith(starts)


def choose_name(name: str, taken: Sequence[str] = ()) -> str:
    """Return a file name without folders and odd characters, and not yet taken."""
    path = Path(_UNSAFE.sub("_", Path(name.replace("\\", "/")).name).strip(" ."))
    stem = path.stem.encode()[:100].decode(errors="ignore").replace("%", "_") or "image"
    suffix = path.suffix[:10]
    names = [f"{stem}{suffix}", *(f"{stem}_{number}{suffix}" for number in range(2, 10_000))]
    return next(each for each in names if each.lower() not in {other.lower() for other in taken})
