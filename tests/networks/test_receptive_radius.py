import pytest
import torch
from torch import Tensor, nn

from sr.networks.receptive_radius import measure_receptive_radius


def convs(count: int, kernel: int = 3, dilation: int = 1, features: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    padding = dilation * (kernel - 1) // 2
    layers = [
        nn.Conv2d(features, features, kernel, padding=padding, dilation=dilation)
        for _ in range(count)
    ]
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("network", "radius"),
    [
        (nn.Identity(), 0),
        (convs(3, kernel=1), 0),
        (convs(1), 1),
        (convs(7), 7),
        (convs(15), 15),
        (convs(16), 16),  # as far as the first patch reaches
        (convs(20), 20),
        (convs(31), 31),
        (convs(2, kernel=5), 4),
        (convs(1, kernel=9), 4),
        (convs(2, dilation=3), 6),
        (nn.Sequential(convs(2), nn.ReLU(), convs(2)), 4),
        (nn.Upsample(scale_factor=4.0, mode="nearest"), 0),
        (nn.Upsample(scale_factor=2.0, mode="bilinear"), 1),
        (nn.Upsample(scale_factor=2.0, mode="bicubic"), 2),
    ],
)
def test_the_radius_of_known_networks_is_measured(network: nn.Module, radius: int) -> None:
    assert measure_receptive_radius(network) == radius


@pytest.mark.parametrize(("num_convs", "radius"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_convolutions_after_the_enlargement_count_in_lr_pixels(num_convs: int, radius: int) -> None:
    network = nn.Sequential(nn.Upsample(scale_factor=4.0, mode="nearest"), convs(num_convs))
    assert measure_receptive_radius(network) == radius


def test_a_pixel_shuffle_keeps_the_radius() -> None:
    network = nn.Sequential(convs(2), nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    assert measure_receptive_radius(network) == 3


@pytest.mark.parametrize("offset", [(0, 5), (5, 0), (0, -5), (-5, 0)])
def test_the_farthest_side_counts(offset: tuple[int, int]) -> None:
    class Shift(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.roll(offset, dims=(2, 3))

    assert measure_receptive_radius(Shift()) == 5


@pytest.mark.parametrize("limit", [1, 5, 8, 16, 20, 32])
def test_a_network_that_sees_farther_than_the_limit_gets_the_limit(limit: int) -> None:
    assert measure_receptive_radius(convs(33), limit) == limit
    assert measure_receptive_radius(convs(3), limit) == min(3, limit)


def test_a_network_that_sees_the_whole_image_gets_the_limit() -> None:
    class Centred(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(dim=(2, 3), keepdim=True)

    assert measure_receptive_radius(Centred()) == 32


def test_tiny_weights_of_a_deep_network_do_not_hide_its_radius() -> None:
    network = convs(20)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.1)
    assert measure_receptive_radius(network) == 20


def test_the_network_and_the_random_state_are_left_as_they_were() -> None:
    network = nn.Sequential(convs(2), nn.BatchNorm2d(3)).half()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.random.get_rng_state()
    with torch.no_grad():
        assert measure_receptive_radius(network) == 2
    assert network.training
    assert torch.equal(torch.random.get_rng_state(), random_state)
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
