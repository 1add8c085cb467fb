from math import exp, log

import pytest
import torch
from torch import Tensor, nn

from sr.losses.contrastive import Contrastive, contrast, embed_by_layer
from sr.losses.gaussian_blur import blur
from sr.networks.unet_discriminator import UNetDiscriminator


@pytest.fixture
def discriminator() -> nn.Module:
    torch.manual_seed(0)
    return UNetDiscriminator(4).requires_grad_(False)


def images() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hr = torch.rand(2, 3, 16, 16)
    lr = nn.functional.avg_pool2d(hr, 2)
    sr = nn.functional.interpolate(lr, scale_factor=2, mode="bilinear")
    return sr, hr, lr


def test_the_contrast_is_infonce_of_the_mean_cosine_of_the_pixels() -> None:
    """One image, features of 2 channels at 2 pixels; cosines 1, 0 and 0.5, 0.5 and -1, 0."""
    ours = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).T.reshape(1, 2, 1, 2)
    same = 3 * ours
    half = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).T.reshape(1, 2, 1, 2)
    opposite = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).T.reshape(1, 2, 1, 2)
    others = torch.cat([same, half, half, opposite])
    negatives = exp(0.5 / 2) + exp(-0.5 / 2)
    terms = [-log(exp(s / 2) / (exp(s / 2) + negatives)) for s in (1.0, 0.5)]
    value = contrast(ours, others, 2, temperature=2.0)
    assert value.item() == pytest.approx(sum(terms) / 2, rel=1e-6)


def test_its_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    ours = torch.rand(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    others = torch.rand(8, 3, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: contrast(x, others, 2, 0.5), ours)


def test_the_gradient_reaches_sr_and_only_sr(discriminator: nn.Module) -> None:
    """In the paper's code it does not."""
    sr, hr, lr = images()
    term = Contrastive(embed_by_layer(discriminator, 2), 2, 1.0, seed=0)
    for image in (sr, hr, lr):
        image.requires_grad_()
    value = term(sr, hr.detach(), lr, 1)
    value.backward()
    assert sr.grad is not None
    assert (sr.grad != 0).float().mean() > 0.9
    assert lr.grad is None
    with torch.no_grad():
        assert term(sr - 0.1 * sr.grad / sr.grad.norm(), hr, lr, 1) < value


def test_hr_is_nearer_than_sr_and_sr_than_enlarged_lr(discriminator: nn.Module) -> None:
    _, hr, lr = images()
    term = Contrastive(embed_by_layer(discriminator.eval(), 0), 2, 0.1, seed=0)
    enlarged = nn.functional.interpolate(lr, scale_factor=2, mode="bicubic")
    better = enlarged + 0.5 * (hr - enlarged)
    with torch.no_grad():
        values = [term(image, hr, lr, 1).item() for image in (hr, better, enlarged)]
    assert values == sorted(values)
    assert values[2] > values[0] + 0.01


def test_low_frequencies_do_not_count(discriminator: nn.Module) -> None:
    sr, hr, lr = images()
    term = Contrastive(embed_by_layer(discriminator.eval(), 1), 1, 1.0, seed=0)
    with torch.no_grad():
        torch.testing.assert_close(term(sr + 0.2, hr, lr, 1), term(sr, hr, lr, 1))


def test_the_draw_follows_from_seed_and_step_alone(discriminator: nn.Module) -> None:
    sr, hr, lr = images()
    discriminator.eval()
    embed = embed_by_layer(discriminator, 1)
    with torch.no_grad():
        first = Contrastive(embed, 1, 1.0, seed=0)(sr, hr, lr, 4)
        assert torch.equal(Contrastive(embed, 1, 1.0, seed=0)(sr, hr, lr, 4), first)
        assert not torch.equal(Contrastive(embed, 1, 1.0, seed=0)(sr, hr, lr, 5), first)


def test_the_embedding_is_before_the_activation(discriminator: nn.Module) -> None:
    """Which works in the memory of the convolution's output."""
    image = torch.rand(1, 3, 16, 16)
    discriminator.eval()
    embedding = embed_by_layer(discriminator, 0)(image)
    assert torch.equal(embedding, discriminator.get_submodule("conv0")(image))
    assert (embedding < 0).any()


def test_the_embedding_leaves_no_hook(discriminator: nn.Module) -> None:
    embed_by_layer(discriminator, 1)(torch.rand(1, 3, 16, 16))
    assert not any(module._forward_hooks for module in discriminator.modules())


def test_the_blur_keeps_a_constant_and_has_the_variance_of_its_sigma() -> None:
    assert blur(torch.full((1, 2, 9, 9), 0.5), 2.0).sub(0.5).abs().max() < 1e-6
    point = torch.zeros(1, 1, 1 + 2 * 14, 1 + 2 * 14, dtype=torch.float64)
    point[..., 14, 14] = 1
    offsets = torch.arange(-14, 15, dtype=torch.float64)
    spread = (blur(point, 2.0)[0, 0].sum(0) * offsets**2).sum().item()
    assert spread == pytest.approx(4, rel=0.03)  # cut off at 3 sigma
