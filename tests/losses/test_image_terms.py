"""What holds for every term that compares images without a network."""

from functools import partial

import pytest
import torch
from torch import Tensor

from sr.losses.color import color_loss
from sr.losses.combined import Term
from sr.losses.frequency import frequency_loss
from sr.losses.gradient_variance import gradient_variance_loss
from sr.losses.haar import detail_distance
from sr.losses.ldl import artifact_loss
from sr.losses.ms_ssim_l1 import ms_ssim_l1_loss
from sr.losses.s3im import S3IM

SIZE = 26  # pixels: the widest window of ms_ssim_l1 fits


def measure_artifacts(sr: Tensor, hr: Tensor) -> Tensor:
    return artifact_loss(sr, hr, hr)


TERMS: dict[str, Term] = {
    "focal": partial(frequency_loss, kind="focal", alpha=1.0),
    "fourier_l1": partial(frequency_loss, kind="L1", alpha=1.0),
    "wavelet": partial(detail_distance, levels=2, criterion="L1"),
    "color": partial(color_loss, pool_size=4),
    "gradient_variance": partial(gradient_variance_loss, patch_size=8),
    "ms_ssim_l1": partial(ms_ssim_l1_loss, alpha=0.84),
    "s3im": partial(S3IM(3, 4, seed=0), step=1),
    "ldl": measure_artifacts,
}
WITH_CONSTANT_WEIGHTS = ("focal", "ldl")  # whose gradient is not that of the value


def pair(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    hr = torch.rand(2, 3, SIZE, SIZE, dtype=dtype, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(hr.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    return hr + 0.2 * noise, hr  # also outside of [0, 1]


each_term = pytest.mark.parametrize("name", TERMS)


@each_term
def test_equal_images_have_no_distance_and_a_finite_gradient(name: str) -> None:
    hr = pair()[1]
    hr[:, :, :8] = 0  # black, and flat
    sr = hr.clone().requires_grad_()
    value = TERMS[name](sr, hr)
    assert value.shape == ()
    assert value.item() == pytest.approx(0, abs=1e-5)
    (gradient,) = torch.autograd.grad(value, sr)
    assert torch.isfinite(gradient).all()


@each_term
def test_the_term_alone_reaches_sr_and_a_step_down_lowers_it(name: str) -> None:
    sr, hr = pair()
    sr.requires_grad_()
    value = TERMS[name](sr, hr)
    assert value > 1e-4
    (gradient,) = torch.autograd.grad(value, sr)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).float().mean() > 0.7  # not of pixels that no square or window has
    with torch.no_grad():
        assert TERMS[name](sr - 1e-2 * gradient / gradient.norm(), hr) < value


@pytest.mark.parametrize("name", sorted(set(TERMS) - set(WITH_CONSTANT_WEIGHTS)))
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    sr, hr = pair(torch.float64)
    sr.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: TERMS[name](x, hr), sr, fast_mode=True)


@each_term
def test_autocast_does_not_lower_its_precision(name: str) -> None:
    sr, hr = pair()
    plain = TERMS[name](sr, hr)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(TERMS[name](sr, hr), plain)
        half = TERMS[name](sr.bfloat16(), hr)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, rtol=0.05, atol=0)
