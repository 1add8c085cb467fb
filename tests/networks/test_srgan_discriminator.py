from typing import Literal

import pytest
import torch
from torch import nn

from sr.networks.srgan_discriminator import SRGANDiscriminator

Normalization = Literal["batch", "spectral", "none"]
every_normalization = pytest.mark.parametrize("normalisation", ["batch", "spectral", "none"])


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_the_convolutions_are_those_of_the_papers_figure() -> None:
    with torch.device("meta"):
        network = SRGANDiscriminator()
    layers = [(conv.out_channels, conv.stride[0]) for conv in convolutions(network)]
    assert layers == [
        (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2),
    ]  # fmt: skip
    assert {conv.kernel_size for conv in convolutions(network)} == {(3, 3)}
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 7


def test_the_pooled_biases_before_a_batch_normalization_change_nothing() -> None:
    torch.manual_seed(0)
    network = SRGANDiscriminator(num_features=4, head="pooled")
    images = torch.rand(4, 3, 24, 24)
    with torch.no_grad():
        before = network(images)
        for conv in convolutions(network.features)[1:]:
            assert conv.bias is not None
            conv.bias.normal_()
        after = network(images)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)


@every_normalization
@pytest.mark.parametrize("crop_size", [16, 17, 31, 40])
def test_the_dense_head_fits_every_crop_size(crop_size: int, normalisation: Normalization) -> None:
    network = SRGANDiscriminator(crop_size, 2, "dense", normalisation)
    assert network(torch.rand(3, 3, crop_size, crop_size)).shape == (3, 1)


@pytest.mark.parametrize("size", [(32, 48), (48, 48), (16, 16)])
def test_the_dense_head_refuses_another_size_and_says_both(size: tuple[int, int]) -> None:
    network = SRGANDiscriminator(32, 2)
    with pytest.raises(ValueError, match=f"32x32 pixels.*got {size[0]}x{size[1]}"):
        network(torch.rand(2, 3, *size))


def test_the_dense_head_needs_a_crop_size() -> None:
    with pytest.raises(ValueError, match="expected a crop_size, got None"):
        SRGANDiscriminator(None)


@pytest.mark.parametrize("crop_size", [None, 32])
@pytest.mark.parametrize("size", [(32, 48), (33, 7), (1, 1)])
def test_the_pooled_head_takes_any_size(crop_size: int | None, size: tuple[int, int]) -> None:
    network = SRGANDiscriminator(crop_size, 2, "pooled")
    assert network(torch.rand(2, 3, *size)).shape == (2, 1)
