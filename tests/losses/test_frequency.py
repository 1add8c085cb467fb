import numpy as np
import pytest
import torch

from sr.losses.frequency import frequency_loss


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    sr, hr = torch.rand(2, 2, 3, 6, 8, dtype=torch.float64)
    return sr, hr


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
def test_focal_is_the_papers_formula(alpha: float) -> None:
    sr, hr = pair()
    expected = []
    for ours, theirs in zip(sr.flatten(0, 1).numpy(), hr.flatten(0, 1).numpy(), strict=True):
        distance = np.abs(np.fft.fft2(ours) - np.fft.fft2(theirs)) / np.sqrt(ours.size)
        weights = distance**alpha
        expected.append(np.mean(weights / weights.max() * distance**2))
    value = frequency_loss(sr, hr, kind="focal", alpha=alpha)
    assert value.item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_with_alpha_0_it_is_the_mse_of_the_pixels() -> None:
    sr, hr = pair()
    value = frequency_loss(sr, hr, kind="focal", alpha=0.0)
    assert value.item() == pytest.approx((sr - hr).square().mean().item(), rel=1e-9)


def test_the_weights_of_focal_have_no_gradient() -> None:
    sr, hr = pair()
    sr.requires_grad_()
    (gradient,) = torch.autograd.grad(frequency_loss(sr, hr, kind="focal", alpha=1.0), sr)
    spectrum = torch.fft.fft2(sr.detach() - hr)
    weights = spectrum.abs() / spectrum.abs().amax((-2, -1), keepdim=True)
    expected = 2 * torch.fft.ifft2(weights * spectrum).real / sr.numel()
    torch.testing.assert_close(gradient, expected)


def test_l1_is_the_mean_of_real_and_imaginary_parts() -> None:
    sr, hr = pair()
    spectrum = np.fft.fft2((sr - hr).numpy(), norm="ortho")
    expected = (np.abs(spectrum.real) + np.abs(spectrum.imag)).mean() / 2
    value = frequency_loss(sr, hr, kind="L1", alpha=1.0)
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_one_wave_that_is_missing_counts_in_full_and_small_noise_hardly() -> None:
    wave = torch.cos(torch.arange(8) * torch.pi / 2).expand(1, 3, 8, 8).double()
    noise = 1e-2 * pair()[0][:1, :, :, :].new_tensor(np.random.default_rng(0).normal(size=64))
    error = wave + noise.view(1, 1, 8, 8)
    value = frequency_loss(error, torch.zeros_like(error), kind="focal", alpha=1.0)
    assert value.item() == pytest.approx(wave.square().mean().item(), rel=0.02)
