import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure as reference,
)

from sr.losses.ms_ssim import ms_ssim_loss

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def near(hr: Tensor) -> Tensor:
    return (hr + 0.1 * torch.randn(hr.shape)).clamp(0, 1)


def image(batch: int, height: int, width: int) -> Tensor:
    """Smooth enough for structure at every scale."""
    coarse = torch.rand(batch, 3, 6, 6)
    return functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize(("side", "num_scales"), [(11, 1), (21, 1), (44, 3), (99, 4), (176, 5)])
def test_it_is_one_minus_torchmetrics_with_as_many_scales_as_fit(
    side: int, num_scales: int
) -> None:
    hr = image(2, side, side + 7)
    sr = near(hr)
    total = sum(EXPONENTS[:num_scales])
    betas = tuple(exponent / total for exponent in EXPONENTS[:num_scales])
    expected = 1 - reference(sr, hr, data_range=1.0, betas=betas)
    torch.testing.assert_close(ms_ssim_loss(sr, hr), expected)
    assert expected > 0.01


@pytest.mark.parametrize("side", [22, 44, 88])
def test_one_more_scale_fits_from_this_side_on(side: int) -> None:
    """A checkerboard that the last pooling makes flat is nearer to flat where that scale counts."""
    square = torch.arange(side) // (side // 11 // 2)  # of 1, 2 and 4 pixels
    board = (square.view(-1, 1) + square) % 2
    hr = 0.4 + 0.2 * board.float().expand(1, 3, side, side)
    flat = torch.full_like(hr, 0.5)
    cut = (slice(None), slice(None), slice(0, side - 1), slice(0, side - 1))
    assert ms_ssim_loss(flat, hr) < ms_ssim_loss(flat[cut], hr[cut]) - 0.02


def test_equal_images_have_no_distance_and_a_finite_gradient() -> None:
    hr = image(1, 48, 48)
    sr = hr.clone().requires_grad_()
    loss = ms_ssim_loss(sr, hr)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, sr)
    assert gradient.abs().max() < 1e-3


def test_the_loss_grows_with_blur() -> None:
    hr = torch.rand(1, 3, 48, 48)
    blurred = [functional.avg_pool2d(hr, size, 1, size // 2) for size in (1, 3, 5, 9)]
    losses = [ms_ssim_loss(sr, hr).item() for sr in blurred]
    assert losses == sorted(losses)
    assert losses[1] > 0.05


def test_the_gradient_of_the_term_alone_reaches_every_pixel_of_sr() -> None:
    hr = image(2, 24, 24)
    sr = near(hr).requires_grad_()
    loss = ms_ssim_loss(sr, hr)
    (gradient,) = torch.autograd.grad(loss, sr)
    assert (gradient != 0).all()
    with torch.no_grad():
        assert ms_ssim_loss(sr - 1e-2 * gradient / gradient.norm(), hr) < loss


def test_noise_has_a_finite_gradient() -> None:
    hr = torch.rand(4, 3, 44, 44)
    sr = torch.rand(4, 3, 44, 44, requires_grad=True)
    (gradient,) = torch.autograd.grad(ms_ssim_loss(sr, hr), sr)
    assert torch.isfinite(gradient).all()


def test_a_negative_contrast_term_keeps_the_gradient_of_the_other_scales() -> None:
    """The negative of fine noise on a coarse image that is right."""
    coarse = image(1, 44, 44) * 0.6 + 0.2
    noise = 0.2 * (torch.randint(2, (1, 3, 44, 44)) - 0.5)
    hr = coarse + noise
    sr = (coarse * 0.9 - noise).requires_grad_()
    (gradient,) = torch.autograd.grad(ms_ssim_loss(sr, hr), sr)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0
    assert reference(sr, hr, data_range=1.0, betas=(0.1, 0.4, 0.5)) == 0  # torchmetrics' loses it


def test_autocast_does_not_lower_its_precision() -> None:
    hr = image(1, 22, 22)
    sr = near(hr)
    plain = ms_ssim_loss(sr, hr)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ms_ssim_loss(sr, hr), plain)


@pytest.mark.parametrize("size", [(10, 64), (64, 10)])
def test_an_image_without_room_for_a_window_is_refused(size: tuple[int, int]) -> None:
    small = torch.rand(1, 3, *size)
    with pytest.raises(ValueError, match=f"11 x 11 px, got height {size[0]}, width {size[1]}"):
        ms_ssim_loss(small, small)
