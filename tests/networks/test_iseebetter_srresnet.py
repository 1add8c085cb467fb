from collections.abc import Callable

import pytest
import torch
from torch import nn

from sr.networks.iseebetter_srresnet import ISeeBetterSRResNet
from sr.networks.receptive import measure_receptive_radius


@pytest.mark.parametrize(("scale", "count"), [(2, 586_379), (4, 734_092), (8, 881_805)])
def test_the_published_size_has_its_parameters(scale: int, count: int) -> None:
    network = ISeeBetterSRResNet(scale)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5)])
def test_the_result_is_scale_times_as_large_and_bounded(scale: int, size: tuple[int, int]) -> None:
    network = ISeeBetterSRResNet(scale, num_features=4).eval()
    with torch.no_grad():
        sr = network(100 * torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])
    assert sr.min() >= 0
    assert sr.max() <= 1


def test_the_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = ISeeBetterSRResNet(4, num_features=8)
    sr = network(torch.rand(2, 3, 6, 6))
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # A bias before batch normalisation is taken out again with the mean.
        if not (
            name.startswith(("block2", "block3", "block4", "block5", "block6"))
            and name.endswith(("conv1.bias", "conv2.bias"))
        ):
            assert parameter.grad.abs().max() > 1e-9, name


def test_the_receptive_radius_is_18() -> None:
    # 4 first, 10 in five blocks, 1 before the skip, 1 first of the upsampling, 2 of the rest.
    assert measure_receptive_radius(ISeeBetterSRResNet(4, num_features=4).eval()) == 18


def test_a_scale_that_doublings_do_not_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a scale of 2, 4 or 8, got 3"):
        ISeeBetterSRResNet(3)


def test_it_learns_one_crop_by_heart(overfit: Callable[[nn.Module, int, float], float]) -> None:
    torch.manual_seed(0)
    assert overfit(ISeeBetterSRResNet(2, num_features=16), 100, 3e-3) > 40
