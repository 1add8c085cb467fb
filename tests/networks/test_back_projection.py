import pytest
import torch
from torch import nn

from sr.networks.back_projection import (
    DownProjection,
    UpProjection,
    initialize_as_published,
)

SIZES = [(1, 1), (1, 9), (7, 5)]


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_maps", [1, 3])
def test_a_unit_goes_up_or_down_by_scale_exactly(
    scale: int, size: tuple[int, int], num_maps: int
) -> None:
    height, width = size
    low = torch.rand(2, 4 * num_maps, height, width)
    high = torch.rand(2, 4 * num_maps, scale * height, scale * width)
    with torch.no_grad():
        assert UpProjection(scale, 4, num_maps)(low).shape == (2, 4, *high.shape[2:])
        assert DownProjection(scale, 4, num_maps)(high).shape == (2, 4, height, width)


def test_without_an_error_to_bring_back_a_unit_is_its_first_convolution() -> None:
    up_projection, down_projection = UpProjection(4, 4), DownProjection(4, 4)
    for projection in (up_projection, down_projection):
        initialize_as_published(projection)
        projection.scale_correction(0.0)
    low, high = torch.rand(1, 4, 3, 3), torch.rand(1, 4, 12, 12)
    assert torch.equal(up_projection(low), up_projection.up_conv1(low))
    assert torch.equal(down_projection(high), down_projection.down_conv1(high))


@pytest.mark.parametrize(("unit", "name"), [(UpProjection, "up"), (DownProjection, "down")])
def test_the_keys_are_the_published_ones(unit: type[nn.Module], name: str) -> None:
    first, second = ("deconv", "conv") if name == "up" else ("conv", "deconv")
    expected = set()
    for number, kind in enumerate((first, second, first), start=1):
        block = f"{name}_conv{number}"
        expected |= {f"{block}.{kind}.weight", f"{block}.{kind}.bias", f"{block}.act.weight"}
    assert set(unit(2, 4).state_dict()) == expected
    squeeze = {"conv.conv.weight", "conv.conv.bias", "conv.act.weight"}
    assert set(unit(2, 4, num_maps=2).state_dict()) == expected | squeeze


def test_the_initialization_is_kaimings_with_biases_of_zero() -> None:
    torch.manual_seed(0)
    projection = UpProjection(4, 32)
    initialize_as_published(projection)
    expected = (2 / (32 * 8 * 8)) ** 0.5
    for name, parameter in projection.named_parameters():
        if name.endswith("conv.weight"):
            assert float(parameter.detach().std()) == pytest.approx(expected, rel=0.02), name
        if name.endswith("bias"):
            assert not parameter.any(), name
