from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from sr.networks.patchgan import PatchGAN

Normalization = Literal["batch", "instance", "spectral", "none"]

every_normalization = pytest.mark.parametrize(
    "normalisation", ["batch", "instance", "spectral", "none"]
)


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def seen_by(network: nn.Module, size: int, row: int, column: int) -> Tensor:
    """Which pixels of an image of `size` change one logit: (size, size), bool."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, size, size, generator=generator).double().requires_grad_(True)
    logit = network.double()(image)[0, 0, row, column]
    (gradient,) = torch.autograd.grad(logit, image)
    return gradient.abs().sum(dim=(0, 1)) > 0


def sides(seen: Tensor) -> tuple[int, int]:
    """Height and width of the smallest rectangle around what is seen."""
    rows, columns = seen.nonzero().unbind(dim=1)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def test_the_convolutions_are_those_of_the_paper() -> None:
    network = PatchGAN()
    layers = [(conv.out_channels, conv.stride[0]) for conv in convolutions(network)]
    assert layers == [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]
    assert {conv.kernel_size for conv in convolutions(network)} == {(4, 4)}
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 3


@pytest.mark.parametrize(("num_layers", "side"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_the_measured_patch_is_70_pixels_with_three_layers(num_layers: int, side: int) -> None:
    torch.manual_seed(0)
    network = PatchGAN(2, num_layers).eval()
    size = 2 * side
    middle = network(torch.rand(1, 3, size, size)).shape[-1] // 2
    seen = seen_by(network, size, middle, middle)
    assert sides(seen) == (side, side)
    assert seen.sum() == side**2


def test_neighboring_patches_are_8_pixels_apart() -> None:
    torch.manual_seed(0)
    network = PatchGAN(2).eval()
    here = seen_by(network, 128, 6, 6)
    beside = seen_by(network, 128, 6, 7)
    assert torch.equal(here.roll(8, dims=1), beside)


@every_normalization
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("extra", [0, 1, 7, 16])
def test_there_is_a_logit_for_every_patch(
    num_layers: int, extra: int, normalisation: Normalization
) -> None:
    network = PatchGAN(2, num_layers, normalisation)
    height, width = network.min_size, network.min_size + extra
    logits = network(torch.rand(2, 3, height, width))
    reduction = 2**num_layers
    assert logits.shape == (2, 1, height // reduction - 2, width // reduction - 2)


@pytest.mark.parametrize("size", [(23, 64), (64, 23)])
def test_an_image_too_small_for_a_patch_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"at least 24x24 pixels, got {size[0]}x{size[1]}"):
        PatchGAN(2)(torch.rand(1, 3, *size))


@every_normalization
def test_the_initial_weights_have_the_papers_deviation_of_0_02(
    normalisation: Normalization,
) -> None:
    torch.manual_seed(0)
    network = PatchGAN(16, normalisation=normalisation)
    for name, parameter in network.named_parameters():
        if parameter.dim() == 4:
            spread = parameter.std().item()
            assert spread == pytest.approx(0.02, rel=0.1), name
            assert abs(parameter.mean().item()) < 0.002, name
        if name.endswith("bias"):
            assert not parameter.any(), name
