from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from sr.networks.compact import Compact
from sr.networks.receptive import measure_receptive_radius


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_size_has_621_424_parameters() -> None:
    assert num_parameters(Compact(4)) == 621_424


def test_the_published_size_sees_18_pixels_far() -> None:
    assert measure_receptive_radius(Compact(4)) == 18


@pytest.mark.parametrize("num_convs", [1, 2, 5])
def test_each_convolution_sees_one_pixel_farther(num_convs: int) -> None:
    assert measure_receptive_radius(Compact(2, 4, num_convs)) == num_convs + 2


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (8, 16)])
def test_the_result_is_scale_times_as_large(scale: int, size: tuple[int, int]) -> None:
    network = Compact(scale, num_features=4, num_convs=1)
    height, width = size
    with torch.no_grad():
        sr = network(torch.rand(2, 3, height, width))
    assert sr.shape == (2, 3, scale * height, scale * width)
    assert network.scale == scale


def test_without_its_last_layer_it_is_the_nearest_neighbor() -> None:
    network = Compact(3, num_features=4, num_convs=2)
    nn.init.zeros_(network.body[-1].weight)  # type: ignore[arg-type]  # a Conv2d
    lr = torch.rand(1, 3, 4, 5)
    nearest = functional.interpolate(lr, scale_factor=3.0, mode="nearest")
    assert torch.equal(network(lr), nearest)


def test_an_untrained_network_is_already_near_the_nearest_neighbor() -> None:
    torch.manual_seed(0)
    network = Compact(4)
    lr = torch.rand(1, 3, 24, 24)
    nearest = functional.interpolate(lr, scale_factor=4.0, mode="nearest")
    with torch.no_grad():
        sr = network(lr)
    assert torch.isfinite(sr).all()
    assert (sr - nearest).abs().mean() < 0.25


def test_the_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = Compact(4)
    (network(torch.rand(1, 3, 12, 12)) - torch.rand(1, 3, 48, 48)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-8, name


def test_the_seed_determines_the_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        network = Compact(2, 4, 1)
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_state_dict_has_the_published_key_names() -> None:
    expected = set()
    for index in range(0, 35, 2):  # convolutions at even places, activations between them
        expected |= {f"body.{index}.weight", f"body.{index}.bias"}
        if index < 34:
            expected.add(f"body.{index + 1}.weight")
    assert set(Compact(4).state_dict()) == expected


def test_published_weights_load_and_upscale(shared_data: Path) -> None:
    path = shared_data / "weights" / "realesr-animevideov3.pth"
    weights = torch.load(path, map_location="cpu", weights_only=True)["params"]
    network = Compact(4)
    network.load_state_dict(weights, strict=True)
    network.eval()
    ramp = torch.linspace(0.1, 0.9, 16).expand(1, 3, 16, 16)
    with torch.no_grad():
        sr = network(ramp)
    enlarged = functional.interpolate(ramp, scale_factor=4.0, mode="bilinear")
    assert (sr - enlarged).abs().mean() < 0.03


def test_it_learns_one_crop_by_heart(overfit: Callable[[nn.Module, int, float], float]) -> None:
    torch.manual_seed(0)
    assert overfit(Compact(2, num_features=16, num_convs=4), 100, 3e-3) > 40
