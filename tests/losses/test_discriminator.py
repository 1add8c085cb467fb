import pytest
import torch
from torch import Tensor, nn

from sr.losses.discriminator import r1_penalty


class Linear(nn.Module):
    """D(x) = w . x + b."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3 * 4 * 5))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.unsqueeze(1) + 3.0


def test_of_a_linear_discriminator_it_is_half_the_squared_norm_of_its_weight() -> None:
    discriminator = Linear()
    penalty = r1_penalty(discriminator, torch.rand(4, 3, 4, 5))
    assert penalty.shape == ()
    torch.testing.assert_close(penalty, discriminator.weight.square().sum() / 2)


def test_its_gradient_trains_the_discriminator_and_leaves_hr_alone() -> None:
    discriminator, hr = Linear(), torch.rand(4, 3, 4, 5, requires_grad=True)
    of_weight, of_hr = torch.autograd.grad(
        r1_penalty(discriminator, hr), (discriminator.weight, hr), allow_unused=True
    )
    torch.testing.assert_close(of_weight, discriminator.weight.detach())  # of |w|^2 / 2
    assert of_hr is None


def test_it_is_the_mean_over_the_batch_of_each_images_own_norm() -> None:
    hr = torch.rand(5, 3, 4, 4)
    penalty = r1_penalty(lambda x: x.square().sum(dim=(1, 2, 3)).unsqueeze(1), hr)
    torch.testing.assert_close(penalty, 2 * hr.square().sum() / 5)  # the gradient is 2 x


@pytest.mark.parametrize("size", [8, 16])
def test_of_a_map_of_separate_patches_it_is_the_mean_of_eq_9_over_them(size: int) -> None:
    patches = nn.Conv2d(3, 1, 4, stride=4)
    hr = torch.rand(2, 3, size, size)
    expected = patches.weight.detach().square().sum() / 2
    torch.testing.assert_close(r1_penalty(patches, hr).detach(), expected)


def test_a_constant_of_the_image_has_no_penalty() -> None:
    assert r1_penalty(lambda x: 0 * x.mean(dim=(1, 2, 3)).unsqueeze(1), torch.rand(2, 3, 4, 4)) == 0


def test_autocast_does_not_lower_its_precision() -> None:
    torch.manual_seed(0)
    discriminator = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16, 1)
    )
    hr = torch.rand(2, 3, 4, 4)
    plain = r1_penalty(discriminator, hr)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(r1_penalty(discriminator, hr), plain)


def test_it_trains_the_first_layer_of_a_deep_discriminator() -> None:
    discriminator = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16, 1)
    )
    first = next(discriminator.parameters())
    (gradient,) = torch.autograd.grad(r1_penalty(discriminator, torch.rand(2, 3, 4, 4)), first)
    assert gradient.abs().sum() > 0
