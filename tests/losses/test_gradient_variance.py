import cv2
import numpy as np
import pytest
import torch

from sr.losses.gradient_variance import gradient_variance_loss


def measure(image: np.ndarray) -> np.ndarray:
    """Variances in squares of 4 px, of OpenCV's Sobel gradients."""
    gray = np.tensordot([0.299, 0.587, 0.114], image, 1)
    found = []
    for order in ((1, 0), (0, 1)):
        gradient = cv2.Sobel(gray, cv2.CV_64F, *order, ksize=3)[1:-1, 1:-1]
        found += [gradient[y : y + 4, x : x + 4].var(ddof=1) for y in (0, 4) for x in (0, 4, 8)]
    return np.array(found)


def test_it_compares_the_variances_of_sobel_gradients_in_squares() -> None:
    sr, hr = np.random.default_rng(0).random((2, 3, 11, 14))
    squares = (measure(sr) - measure(hr)) ** 2
    expected = squares[:6].mean() + squares[6:].mean()
    value = gradient_variance_loss(
        torch.from_numpy(sr)[None], torch.from_numpy(hr)[None], patch_size=4
    )
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_a_blurred_image_is_off_and_a_brighter_one_is_not() -> None:
    hr = torch.rand(1, 3, 18, 18) / 2
    blurred = torch.nn.functional.avg_pool2d(hr, 3, 1, 1)
    assert gradient_variance_loss(hr + 0.25, hr, patch_size=8).item() == pytest.approx(0, abs=1e-8)
    assert gradient_variance_loss(blurred, hr, patch_size=8) > 0.01


def test_an_image_without_room_for_a_square_is_refused() -> None:
    small = torch.rand(1, 3, 9, 12)
    with pytest.raises(ValueError, match="at least 10 x 10 px, got height 9, width 12"):
        gradient_variance_loss(small, small, patch_size=8)
