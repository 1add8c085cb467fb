import numpy as np
import pytest
import torch
from torch.nn import functional

from sr.data.sharpen import Sharpening, sharpen
from sr.data.sources import Image

REAL_ESRGAN = Sharpening(51, 0.5, 10.0, only_targets=True)


def edge(low: int, high: int, side: int = 120) -> Image:
    """Black or dark on the left, light on the right."""
    image = np.full((side, side, 3), low, np.uint8)
    image[:, side // 2 :] = high
    return image


def reference(image: Image, sharpening: Sharpening) -> Image:
    """The same in torch, by definition: one two-dimensional kernel, its sigma by OpenCV's rule."""
    size = sharpening.kernel_size
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    places = torch.arange(size, dtype=torch.float64) - size // 2
    row = torch.exp(-(places**2) / (2 * sigma**2))
    row /= row.sum()
    kernel = torch.outer(row, row)[None, None]

    def blur(values: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(values, [size // 2] * 4, mode="reflect")
        return functional.conv2d(padded, kernel)

    values = torch.from_numpy(image).double().permute(2, 0, 1)[:, None] / 255
    residual = values - blur(values)
    mask = blur((residual.abs() * 255 > sharpening.threshold).double())
    sharp = (values + sharpening.amount * residual).clamp(0, 1)
    blended = mask * sharp + (1 - mask) * values
    return (blended[:, 0].permute(1, 2, 0) * 255).round().byte().numpy()


@pytest.mark.parametrize("sharpening", [REAL_ESRGAN, Sharpening(7, 2.0, 2.0, only_targets=False)])
def test_it_is_the_blend_of_the_image_and_what_a_blur_removes(sharpening: Sharpening) -> None:
    rng = np.random.default_rng(0)
    image = edge(60, 180, 64)
    image[16:32, 16:32] = rng.integers(0, 256, (16, 16, 3))
    made = sharpen(image, sharpening).astype(int)
    assert np.abs(made - reference(image, sharpening)).max() <= 1  # of rounding
    assert made.shape == image.shape


def test_an_edge_gets_steeper_and_stays_where_it_is() -> None:
    row = sharpen(edge(80, 160), REAL_ESRGAN)[60, :, 0].astype(int)
    assert row[58] < 80 < 160 < row[61]
    assert row[59] + row[60] == 240  # symmetric about the edge
    assert row[0] == 80


def test_weak_contrasts_stay_as_they_are() -> None:
    image = edge(100, 115)  # what the blur removes is at most half of 15
    np.testing.assert_array_equal(sharpen(image, REAL_ESRGAN), image)


def test_nothing_beyond_its_reach_changes_a_pixel() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (130, 130, 3), dtype=np.uint8)
    other = image.copy()
    reach = REAL_ESRGAN.reach
    other[:, : 65 - reach] = 0
    first, second = sharpen(image, REAL_ESRGAN), sharpen(other, REAL_ESRGAN)
    np.testing.assert_array_equal(first[:, 65:], second[:, 65:])
    assert (first[:, :20] != second[:, :20]).any()
