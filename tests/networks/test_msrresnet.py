import pytest
import torch
from torch import nn
from torch.nn import functional

from sr.networks.msrresnet import MSRResNet


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
