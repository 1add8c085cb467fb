"""What holds for every discriminator, whatever its paper."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sr.networks.patchgan import PatchGAN
from sr.networks.srgan_discriminator import SRGANDiscriminator
from sr.networks.unet_discriminator import UNetDiscriminator

SIZE = 24

DISCRIMINATORS: dict[str, Callable[[], nn.Module]] = {
    "SRGAN dense batch": lambda: SRGANDiscriminator(SIZE, 4, "dense", "batch"),
    "SRGAN dense spectral": lambda: SRGANDiscriminator(SIZE, 4, "dense", "spectral"),
    "SRGAN dense none": lambda: SRGANDiscriminator(SIZE, 4, "dense", "none"),
    "SRGAN pooled batch": lambda: SRGANDiscriminator(None, 4, "pooled", "batch"),
    "SRGAN pooled spectral": lambda: SRGANDiscriminator(None, 4, "pooled", "spectral"),
    "SRGAN pooled none": lambda: SRGANDiscriminator(None, 4, "pooled", "none"),
    "PatchGAN batch": lambda: PatchGAN(4, 2, "batch"),
    "PatchGAN instance": lambda: PatchGAN(4, 2, "instance"),
    "PatchGAN spectral": lambda: PatchGAN(4, 2, "spectral"),
    "PatchGAN none": lambda: PatchGAN(4, 2, "none"),
    "UNet spectral": lambda: UNetDiscriminator(4),
    "UNet none": lambda: UNetDiscriminator(4, spectral_norm=False),
    "UNet spectral without skips": lambda: UNetDiscriminator(4, skip_connections=False),
    "UNet none without skips": lambda: UNetDiscriminator(4, False, False),
}

every_discriminator = pytest.mark.parametrize("name", DISCRIMINATORS)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def find_layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    layers = network.named_modules()
    return {name: layer for name, layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)}


def move_statistics(network: nn.Module) -> nn.Module:
    """Run in train mode: batch normalization and singular vectors move."""
    with torch.no_grad():
        network(torch.rand(3, 3, SIZE, SIZE))
    return network.eval()


@pytest.mark.parametrize(
    ("build", "arguments", "count"),
    [
        # The paper's discriminator less the three channels of its condition: 3 * 64 * 4 * 4.
        (PatchGAN, {}, 2_768_705 - 3_072),
        (SRGANDiscriminator, {}, 23_563_649),
        (SRGANDiscriminator, {"head": "pooled"}, 5_215_425),  # iSeeBetter's
        (UNetDiscriminator, {}, 4_376_897),
        (UNetDiscriminator, {"spectral_norm": False}, 4_376_897),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(
    build: Callable[..., nn.Module], arguments: dict[str, Any], count: int
) -> None:
    network = build(**arguments)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@every_discriminator
def test_four_channels_are_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 4"):
        DISCRIMINATORS[name]()(torch.rand(2, 4, SIZE, SIZE))


@every_discriminator
def test_the_result_is_a_logit_and_not_bounded(name: str) -> None:
    network = DISCRIMINATORS[name]().eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    *_, last = find_layers(network).values()
    assert last.bias is not None
    with torch.no_grad():
        logits = network(images)
        for more in (100.0, -100.0):
            last.bias.add_(more)
            torch.testing.assert_close(network(images), logits + more)
            last.bias.sub_(more)


@every_discriminator
def test_the_gradient_reaches_the_image_and_every_parameter(name: str) -> None:
    network = DISCRIMINATORS[name]()
    image = torch.rand(4, 3, SIZE, SIZE, requires_grad=True)
    logits = network(image)
    (logits - torch.randn_like(logits)).square().mean().backward()
    assert image.grad is not None
    assert image.grad.abs().amax(dim=(1, 2, 3)).min() > 1e-8
    without_effect = set()
    if name == "SRGAN pooled batch":  # its normalization takes them away again; as in iSeeBetter
        _, *others = (layer for layer in find_layers(network) if layer.startswith("features"))
        without_effect = {f"{layer}.bias" for layer in others}
    for parameter_name, parameter in network.named_parameters():
        if parameter_name not in without_effect:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.abs().max() > 1e-8, parameter_name


@every_discriminator
def test_in_eval_mode_an_image_does_not_depend_on_its_batch(name: str) -> None:
    network = move_statistics(DISCRIMINATORS[name]())
    images = torch.rand(3, 3, SIZE, SIZE)
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


@every_discriminator
def test_a_state_dict_carries_the_whole_discriminator(name: str) -> None:
    network = move_statistics(DISCRIMINATORS[name]())
    other = DISCRIMINATORS[name]().eval()
    images = torch.rand(3, 3, SIZE, SIZE)
    with torch.no_grad():
        assert not torch.equal(network(images), other(images))
        other.load_state_dict(network.state_dict())
        assert torch.equal(network(images), other(images))


@every_discriminator
def test_it_runs_in_bf16(name: str) -> None:
    network = DISCRIMINATORS[name]().eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
    assert logits.dtype == torch.bfloat16
    atol = 0.02 if name.startswith("SRGAN") else 0.05
    torch.testing.assert_close(logits.float(), expected, rtol=0.05, atol=atol)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("SRGAN dense spectral", 10),
        ("SRGAN pooled spectral", 10),
        ("PatchGAN spectral", 4),
        ("UNet spectral", 8),  # the first and the last layer are free
    ],
)
def test_spectral_normalization_holds_its_layers_at_norm_1(name: str, count: int) -> None:
    network = DISCRIMINATORS[name]()
    layers = {
        key: layer for key, layer in find_layers(network).items() if hasattr(layer, "weight_u")
    }
    assert len(layers) == count
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.no_grad():
        for key in layers:
            network.get_parameter(f"{key}.weight_orig").normal_()
        for _ in range(60):
            network(torch.rand(1, 3, SIZE, SIZE))
    for key, layer in layers.items():
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert norm.item() == pytest.approx(1, abs=0.05), key
