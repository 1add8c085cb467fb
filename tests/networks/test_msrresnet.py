from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from sr.networks.msrresnet import MSRResNet
from sr.networks.receptive import measure_receptive_radius


@pytest.mark.parametrize(
    ("scale", "expected"), [(2, 1_369_859), (3, 1_554_499), (4, 1_517_571), (8, 1_665_283)]
)
def test_the_published_size_has_1_517_571_parameters_at_x4(scale: int, expected: int) -> None:
    with torch.device("meta"):
        network = MSRResNet(scale)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (8, 16)])
def test_the_result_is_scale_times_as_large(scale: int, size: tuple[int, int]) -> None:
    network = MSRResNet(scale, num_features=4, num_blocks=1)
    height, width = size
    with torch.no_grad():
        sr = network(torch.rand(2, 3, height, width))
    assert sr.shape == (2, 3, scale * height, scale * width)
    assert network.scale == scale


@pytest.mark.parametrize("scale", [0, 1, 5, 6])
def test_other_scales_are_refused(scale: int) -> None:
    with pytest.raises(ValueError, match=f"2, 3, 4 or 8, got {scale}"):
        MSRResNet(scale)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_gradient_reaches_every_parameter(scale: int) -> None:
    torch.manual_seed(0)
    network = MSRResNet(scale, num_features=16, num_blocks=2)
    sr = network(torch.rand(2, 3, 6, 6))
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name  # small: every layer starts with a gain of 0.1


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("num_blocks", [1, 3])
def test_the_receptive_radius_is_3_and_2_a_block(scale: int, num_blocks: int) -> None:
    # conv_first 1, 2 a block, upconv1 1; what follows at the higher resolutions adds at most one
    # LR pixel: 1.
    torch.manual_seed(0)
    assert measure_receptive_radius(MSRResNet(scale, 4, num_blocks)) == 3 + 2 * num_blocks


@pytest.mark.parametrize(
    ("scale", "upconvs"),
    [(2, [256]), (3, [576]), (4, [256, 256]), (8, [256, 256, 256])],
)
def test_the_state_dict_has_the_keys_and_shapes_of_basicsr(scale: int, upconvs: list[int]) -> None:
    expected = {"conv_first": (64, 3), "conv_hr": (64, 64), "conv_last": (3, 64)}
    for block in range(16):
        expected |= {f"body.{block}.conv1": (64, 64), f"body.{block}.conv2": (64, 64)}
    expected |= {f"upconv{number}": (width, 64) for number, width in enumerate(upconvs, start=1)}
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (out_width, in_width) in expected.items():
        shapes[f"{layer}.weight"] = (out_width, in_width, 3, 3)
        shapes[f"{layer}.bias"] = (out_width,)
    with torch.device("meta"):
        state = MSRResNet(scale).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes


def test_without_its_last_layer_it_is_the_bilinear_enlargement() -> None:
    network = MSRResNet(3, num_features=4, num_blocks=1)
    nn.init.zeros_(network.conv_last.weight)
    lr = torch.rand(1, 3, 4, 5)
    assert torch.equal(network(lr), functional.interpolate(lr, scale_factor=3, mode="bilinear"))


def test_an_untrained_network_is_already_near_the_bilinear_enlargement() -> None:
    torch.manual_seed(0)
    network = MSRResNet(4)
    lr = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        sr = network(lr)
    enlarged = functional.interpolate(lr, scale_factor=4, mode="bilinear")
    assert 0 < (sr - enlarged).abs().max() < 1e-3


def test_the_initial_weights_are_a_tenth_of_kaimings() -> None:
    torch.manual_seed(0)
    network = MSRResNet(4, num_blocks=1)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            assert not layer.bias.any()
            spread = 0.1 * (2 / (9 * layer.in_channels)) ** 0.5
            assert float(layer.weight.detach().std()) == pytest.approx(spread, rel=0.1)


def test_a_tiny_one_learns_a_crop_by_heart(
    overfit: Callable[[nn.Module, int, float], float],
) -> None:
    torch.manual_seed(0)
    assert overfit(MSRResNet(2, num_features=16, num_blocks=1), 150, 5e-3) > 40
