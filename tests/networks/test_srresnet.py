from collections.abc import Callable

import pytest
import torch
from torch import nn

from sr.networks.receptive import measure_receptive_radius
from sr.networks.srresnet import SRResNet


def test_the_papers_size_has_1_547_350_parameters() -> None:
    assert sum(parameter.numel() for parameter in SRResNet(4).parameters()) == 1_547_350


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (8, 16)])
def test_the_result_is_scale_times_as_large(scale: int, size: tuple[int, int]) -> None:
    network = SRResNet(scale, num_features=4, num_blocks=1).eval()
    height, width = size
    with torch.no_grad():
        sr = network(torch.rand(2, 3, height, width))
    assert sr.shape == (2, 3, scale * height, scale * width)
    assert network.scale == scale


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_gradient_reaches_every_parameter(scale: int) -> None:
    torch.manual_seed(0)
    network = SRResNet(scale, num_features=8, num_blocks=2)
    sr = network(torch.rand(2, 3, 6, 6))
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-8, name


def test_in_eval_mode_a_image_does_not_depend_on_its_batch() -> None:
    network = SRResNet(2, num_features=4, num_blocks=2)
    network(torch.rand(4, 3, 8, 8))  # moves the statistics of the normalisation
    network.eval()
    images = torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(("num_blocks", "radius"), [(1, 10), (2, 12), (8, 24), (16, 32)])
def test_the_receptive_radius_is_8_and_2_a_block_up_to_the_limit(
    num_blocks: int, radius: int
) -> None:
    # 4 head, 2 a block, 1 fusion, 1 first of the upsampling; the rest adds 6 of 4 subpixels: 2.
    assert measure_receptive_radius(SRResNet(4, 4, num_blocks).eval()) == radius


def test_the_result_is_not_bounded() -> None:
    network = SRResNet(2, num_features=4, num_blocks=1).eval()
    with torch.no_grad():
        network.tail.bias.fill_(5.0)  # type: ignore[union-attr]  # made with a bias
        assert network(torch.rand(1, 3, 4, 4)).mean() > 1


def test_it_learns_one_crop_by_heart(overfit: Callable[[nn.Module, int, float], float]) -> None:
    torch.manual_seed(0)
    assert overfit(SRResNet(2, num_features=16, num_blocks=1), 100, 5e-3) > 40
