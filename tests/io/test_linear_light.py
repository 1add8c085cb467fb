"""Resampling mixes light, not code values, and colors only as far as they are seen."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from sr.io.linear_light import resample_in_linear_light


def shrunk(
    pixels: npt.NDArray[Any], size: tuple[int, int], max_value: float, *, alpha: bool = False
) -> npt.NDArray[Any]:
    image = pyvips.Image.new_from_array(pixels)
    result = resample_in_linear_light(image, size, max_value=max_value, alpha=alpha, num_frames=1)
    return np.reshape(result.numpy(), (*size, pixels.shape[2]))


@pytest.mark.parametrize("size", [(8, 8), (31, 5), (70, 41)])
@pytest.mark.parametrize(("dtype", "max_value"), [("u1", 255), ("u2", 65535), ("f4", 1)])
@pytest.mark.parametrize("num_bands", [1, 2, 3, 4])
def test_a_constant_stays_constant(
    size: tuple[int, int], dtype: str, max_value: int, num_bands: int
) -> None:
    value = np.array(0.3 * max_value).astype(dtype)
    pixels = np.full((32, 20, num_bands), value)
    result = shrunk(pixels, size, max_value, alpha=num_bands in (2, 4))
    np.testing.assert_allclose(result, value / max_value, atol=2e-6)


@pytest.mark.parametrize(("dtype", "max_value"), [("u1", 255), ("u2", 65535), ("f4", 1)])
def test_a_checkerboard_becomes_the_mean_of_its_light(dtype: str, max_value: int) -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * max_value).astype(dtype)[..., None].repeat(3, 2)
    result = shrunk(board, (8, 8), max_value)
    np.testing.assert_array_equal((result[2:6, 2:6] * 255 + 0.5).astype(int), 188)


def test_a_symmetric_image_stays_symmetric() -> None:
    half = np.random.default_rng(0).random((40, 20, 3), dtype=np.float32)
    pixels = np.concatenate([half, half[:, ::-1]], axis=1)
    for size in [(20, 20), (60, 60), (17, 26)]:
        result = shrunk(pixels, size, 1)
        np.testing.assert_allclose(result, result[:, ::-1], atol=1e-5)


def test_unseen_colors_do_not_bleed() -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[:, :16] = (200, 100, 50, 255)
    pixels[:, 16:] = (0, 255, 0, 0)  # unseen green
    result = shrunk(pixels, (11, 11), 255, alpha=True)
    seen = result[..., 3] > 0.1
    np.testing.assert_allclose(result[seen][:, :3] * 255, [[200, 100, 50]] * seen.sum(), atol=0.5)
    assert result[:, -2:].max() == 0
