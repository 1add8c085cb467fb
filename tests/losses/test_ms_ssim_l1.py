import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sr.losses.ms_ssim_l1 import ms_ssim_l1_loss


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    blurred: np.ndarray = gaussian_filter(image, sigma, mode="mirror", truncate=3.0, axes=(-2, -1))
    return blurred


@pytest.mark.parametrize("alpha", [0.0, 0.84, 1.0])
def test_it_is_the_papers_formula_with_scipys_gaussians(alpha: float) -> None:
    sr, hr = np.random.default_rng(0).random((2, 1, 3, 28, 30))
    similarity = np.ones_like(sr)
    for sigma in (0.5, 1, 2, 4, 8):
        x, y = blur(sr, sigma), blur(hr, sigma)
        variances = blur(sr**2, sigma) - x**2 + blur(hr**2, sigma) - y**2
        similarity *= (2 * (blur(sr * hr, sigma) - x * y) + 0.03**2) / (variances + 0.03**2)
    similarity *= (2 * x * y + 0.01**2) / (x**2 + y**2 + 0.01**2)
    expected = alpha * (1 - similarity.mean()) + (1 - alpha) * blur(np.abs(sr - hr), 8).mean()
    value = ms_ssim_l1_loss(torch.from_numpy(sr), torch.from_numpy(hr), alpha=alpha)
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_an_image_that_its_widest_window_does_not_fit_is_refused() -> None:
    least = torch.rand(1, 3, 25, 25)
    assert ms_ssim_l1_loss(least, least, alpha=0.84).item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="at least 25 x 25 px, got height 25, width 24"):
        ms_ssim_l1_loss(least[..., :24], least[..., :24], alpha=0.84)
