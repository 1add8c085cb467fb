"""BMP, which libvips does not read: decoded whole by OpenCV."""

import struct
from typing import BinaryIO

import numpy as np
import pyvips

from sr.io.image_formats import EXPECTED, ImageError

_MAX_PIXELS = 2**28  # it is decoded whole: at most 1 GiB


def read_bitmap_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Return (height, width) in pixels by the header of a BMP, at the start of `file`."""
    header = file.read(26)
    if len(header) < 26:
        raise ImageError(f"{name}: {EXPECTED}, got a BMP cut short")
    is_os2 = header[14:18] == b"\x0c\0\0\0"  # its header has shorter fields
    width, height = struct.unpack_from("<HH" if is_os2 else "<ii", header, 18)
    if width <= 0 or height == 0:
        raise ImageError(f"{name}: {EXPECTED}, got a BMP of {width}x{height} pixels")
    return abs(height), width  # if negative, the top row comes first


def load_bitmap(file: BinaryIO, name: str, size: tuple[int, int]) -> pyvips.Image:
    """Decode a BMP of (height, width) pixels, at the start of `file`."""
    height, width = size
    if height * width > _MAX_PIXELS:
        raise ImageError(
            f"{name}: expected a BMP of at most {_MAX_PIXELS} pixels, got {width}x{height}"
        )
    import cv2  # not needed for other formats

    try:
        pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # of sizes beyond its own limits
        pixels = None
    if pixels is None or pixels.shape[:2] != (height, width):
        raise ImageError(f"{name}: {EXPECTED}, got a BMP that is damaged or cut short")
    num_bands = pixels[0, 0].size
    if num_bands > 1:
        pixels = pixels[..., [2, 1, 0, 3][:num_bands]]  # OpenCV's order is BGR
    content = np.ascontiguousarray(pixels).data
    image = pyvips.Image.new_from_memory(content, width, height, num_bands, "uchar")
    return image.copy(interpretation="b-w" if num_bands == 1 else "srgb")
