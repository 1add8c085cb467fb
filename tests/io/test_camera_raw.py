"""Camera raw through rawpy: developed into 16 bits of sRGB, upright, or refused."""

import numpy as np
import numpy.typing as npt
import pytest
from helpers.image_formats import Linear, encode_dng

from sr.io.image_formats import ImageError
from sr.io.image_reader import open_image, read_header

pytest.importorskip("rawpy")


def draw_linear() -> Linear:
    """Draw smooth colors (H, W, 3), which a mosaic keeps."""
    rows, columns = np.mgrid[:48, :64] / 64
    return np.dstack([rows, columns, 1 - columns] * np.array(65535)).astype(np.uint16)


def encode_srgb(linear: Linear) -> npt.NDArray[np.float64]:
    light = linear / 65535
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_linear_dng_is_encoded_as_srgb_and_nothing_else() -> None:
    linear = draw_linear()
    with open_image(encode_dng(linear)) as image:
        assert (image.header.depth, image.header.num_bands) == (16, 3)
        assert any("developed with the camera's white balance" in n for n in image.header.notes)
        np.testing.assert_allclose(image.read() / 65535, encode_srgb(linear), atol=1e-3)


def test_a_mosaic_becomes_colors_upright() -> None:
    linear = draw_linear()
    with open_image(encode_dng(linear, orientation=6, bayer=True)) as image:
        assert (image.header.height, image.header.width) == (64, 48)
        expected = np.rot90(encode_srgb(linear), -1)
        difference = np.abs(image.read() / 65535 - expected)[4:-4, 4:-4]
        assert difference.mean() < 0.005


def test_too_many_pixels_and_cut_files_are_refused() -> None:
    content = encode_dng(draw_linear())
    with pytest.raises(ImageError, match="expected at most 100 pixels, got 64x48"):
        read_header(content, max_pixels=100)
    for share in (0.1, 0.5):
        with pytest.raises(ImageError, match="camera raw that is damaged"):
            read_header(content[: int(share * len(content))])
