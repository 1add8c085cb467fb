"""BMP files, which libvips does not read, through OpenCV; they are decoded whole, in memory."""

import struct

import cv2
import numpy as np
import numpy.typing as npt

from sr.errors import UserError

MAX_PIXELS = 2**28  # so that an image takes 1 GiB of memory at most

_UNCOMPRESSED = 0
_CORE_HEADER_SIZE = 12  # bytes; that of OS/2, whose fields are shorter


class BitmapError(UserError):
    """Content that is no whole BMP; the message tells what was given."""


def read_bitmap_size(content: bytes) -> tuple[int, int]:
    """(height, width) in pixels, from the header alone; `content` need not be whole."""
    if len(content) < 34:
        raise BitmapError("a BMP cut short")
    (header_size,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from(
        "<HH" if header_size == _CORE_HEADER_SIZE else "<ii", content, 18
    )
    if width <= 0 or height == 0:
        raise BitmapError(f"a BMP of {width}x{height} pixels")
    return abs(height), width  # a negative height tells that the top row comes first


def read_bitmap(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode a BMP.

    Returns: (H, W, C), uint8; C is 1 gray, 3 RGB or 4 RGB and alpha.
    """
    height, width = read_bitmap_size(content)
    if len(content) < _num_bytes(content, height, width):
        raise BitmapError("a BMP cut short")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[:2] != (height, width) or pixels.dtype != np.uint8:
        raise BitmapError("a BMP that OpenCV cannot decode")
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels[..., np.newaxis])
    order = [2, 1, 0, 3][: pixels.shape[2]]  # OpenCV's order is BGR
    return np.ascontiguousarray(pixels[..., order])


def _num_bytes(content: bytes, height: int, width: int) -> int:
    """The length that an uncompressed file must have; 0 for others, which tell no length."""
    (offset, header_size) = struct.unpack_from("<II", content, 10)
    if header_size == _CORE_HEADER_SIZE:
        (bits,), compression = struct.unpack_from("<H", content, 24), _UNCOMPRESSED
    else:
        bits, compression = struct.unpack_from("<HI", content, 28)
    if compression != _UNCOMPRESSED:
        return 0
    return int(offset + height * ((width * bits + 31) // 32 * 4))  # rows end at 4 bytes
