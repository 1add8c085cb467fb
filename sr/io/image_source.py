"""Files that should hold an image: what is in them by their first bytes, and their faults."""

import io
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyvips

from sr.errors import UserError

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two are BigTIFF
_TEMPORARY_FILE_FAULT = "wbuffer_write: write failed"  # libvips' words
_HEIF_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")


class ImageError(UserError):
    """An image that cannot be read or written; the message names the file."""


def name_source(source: Path | bytes) -> str:
    """What to call a source in messages: its path, or standard input for bytes."""
    return str(source) if isinstance(source, Path) else "standard input"


@contextmanager
def convert_errors(name: object, expected: str) -> Iterator[None]:
    """Turn faults of a file and of its content into `ImageError`."""
    try:
        yield
    except pyvips.Error as error:
        if _TEMPORARY_FILE_FAULT in str(error):
            raise ImageError(
                f"{name}: could not be decoded to a temporary file, as large images are:"
                f" no room in {tempfile.gettempdir()}. Set TMPDIR to a folder with more"
            ) from error
        raise ImageError(
            f"{name}: {expected}, got a file of another kind, damaged or cut short"
            f" ({first_error_line(error)})"
        ) from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: {expected}, got a folder") from error
    except OSError as error:
        raise ImageError(f"{name}: could not be read: {error.strerror}") from error


@contextmanager
def open_file(source: Path | bytes, expected: str) -> Iterator[BinaryIO]:
    """A file or bytes for reading, from the start; empty ones and animated PNG are refused."""
    file: BinaryIO = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    with file:
        if file.seek(0, os.SEEK_END) == 0:
            raise ImageError(f"{name_source(source)}: {expected}, got an empty file")
        file.seek(0)
        if _has_animation_chunk(file):
            raise ImageError(f"{name_source(source)}: {expected}, got an animated PNG")
        file.seek(0)
        yield file


def detect_format(head: bytes) -> str | None:
    """The format that the first 16 bytes of a file tell, as libvips calls it, or bmp."""
    riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    heif = head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS
    kinds = {
        "png": head.startswith(_PNG),
        "jpeg": head.startswith(b"\xff\xd8\xff"),
        "webp": riff,
        "tiff": head.startswith(_TIFF),
        "heif": heif,
        "gif": head.startswith(b"GIF8"),
        "bmp": head.startswith(b"BM"),
    }
    return next((kind for kind, found in kinds.items() if found), None)


def first_error_line(error: pyvips.Error) -> str:
    """The most telling line of libvips' message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else lines[0] if lines else "unknown fault"


def _has_animation_chunk(file: BinaryIO) -> bool:
    """True for a PNG with an acTL chunk, which libvips would read as its first frame."""
    if file.read(8) != _PNG:
        return False
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind in (b"acTL", b"IDAT"):
            return bool(kind == b"acTL")
        file.seek(length + 4, os.SEEK_CUR)  # the chunk and its checksum
    return False
