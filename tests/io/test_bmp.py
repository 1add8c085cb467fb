"""BMP files are read as they are; those that are not whole are refused."""

import struct

import numpy as np
import numpy.typing as npt
import pytest
from helpers.images import encode_image, read_bytes
from PIL import Image

from sr.io.image_formats import ImageError
from sr.io.image_reader import read_header

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def bitmap(mode: str = "RGB") -> bytes:
    return encode_image(Image.fromarray(PIXELS).convert(mode), "BMP")


def bitmap_with_alpha(alpha: npt.NDArray[np.uint8]) -> bytes:
    data = np.concatenate([PIXELS[::-1, :, ::-1], alpha[::-1]], axis=-1).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 7, 9, 1, 32, 3, len(data), 0, 0, 0, 0)
    header += masks + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 122 + len(data), 0, 0, 122) + header + data


def test_rgb_and_gray_and_alpha_are_read_with_their_bands() -> None:
    np.testing.assert_array_equal(read_bytes(bitmap()), PIXELS)
    gray = np.asarray(Image.fromarray(PIXELS).convert("L"))[..., np.newaxis]
    np.testing.assert_array_equal(read_bytes(bitmap("L")), gray)
    alpha = np.arange(63, dtype=np.uint8).reshape(9, 7, 1)
    expected = np.concatenate([PIXELS, alpha], axis=-1)
    np.testing.assert_array_equal(read_bytes(bitmap_with_alpha(alpha)), expected)


def test_the_fourth_byte_of_a_plain_32_bit_bmp_is_not_alpha() -> None:
    np.testing.assert_array_equal(read_bytes(bitmap("RGBA")), PIXELS)


def test_a_negative_height_puts_the_top_row_first() -> None:
    content = bytearray(bitmap())
    struct.pack_into("<i", content, 22, -9)
    np.testing.assert_array_equal(read_bytes(bytes(content)), PIXELS[::-1])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("missing", [1, 60, 250])
def test_a_bmp_cut_short_is_refused(mode: str, missing: int) -> None:
    content = bitmap(mode)
    with pytest.raises(ImageError, match="cut short"):
        read_bytes(content[: max(len(content) - missing, 8)])


def test_senseless_sizes_are_refused() -> None:
    content = bytearray(bitmap())
    struct.pack_into("<i", content, 18, -7)
    with pytest.raises(ImageError, match="a BMP of -7x9 pixels"):
        read_header(bytes(content))


def test_more_pixels_than_fit_in_memory_are_refused_by_the_header() -> None:
    content = bytearray(bitmap())
    struct.pack_into("<ii", content, 18, 2**14 + 1, 2**14)
    with pytest.raises(ImageError, match="a BMP of at most 268435456 pixels, got 16385x16384"):
        read_header(bytes(content))
