from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from sr.networks.srgan_discriminator import SRGANDiscriminator

Head = Literal["dense", "pooled"]
Normalisation = Literal["batch", "spectral", "none"]

every_head = pytest.mark.parametrize("head", ["dense", "pooled"])
every_normalisation = pytest.mark.parametrize("normalisation", ["batch", "spectral", "none"])


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def largest_singular_value(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2))


def test_the_papers_size_has_23_56_million_parameters() -> None:
    with torch.device("meta"):
        network = SRGANDiscriminator()
    assert num_parameters(network) == 23_563_649


def test_the_pooled_size_of_iseebetter_has_5_215_425_parameters() -> None:
    with torch.device("meta"):
        network = SRGANDiscriminator(head="pooled")
    assert num_parameters(network) == 5_215_425


def test_the_convolutions_are_those_of_the_papers_figure() -> None:
    with torch.device("meta"):
        network = SRGANDiscriminator()
    layers = [(conv.out_channels, conv.stride[0]) for conv in convolutions(network)]
    assert layers == [
        (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2),
    ]  # fmt: skip
    assert {conv.kernel_size for conv in convolutions(network)} == {(3, 3)}
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 7


def test_the_pooled_biases_before_a_batch_normalisation_change_nothing() -> None:
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


@every_normalisation
@pytest.mark.parametrize("crop_size", [16, 17, 31, 40])
def test_the_dense_head_fits_every_crop_size(crop_size: int, normalisation: Normalisation) -> None:
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


def test_four_channels_are_refused() -> None:
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 4"):
        SRGANDiscriminator(16, 2)(torch.rand(2, 4, 16, 16))


@every_head
def test_the_result_is_a_logit_and_not_bounded(head: Head) -> None:
    network = SRGANDiscriminator(16, 2, head).eval()
    last = network.head[3]
    with torch.no_grad():
        low = network(torch.rand(1, 3, 16, 16))
        last.bias.add_(7.0)  # type: ignore[operator]  # made with a bias
        high = network(torch.rand(1, 3, 16, 16))
    assert low.item() < 1 < 6 < high.item()


@every_head
@every_normalisation
def test_the_gradient_reaches_the_image_and_every_parameter(
    head: Head, normalisation: Normalisation
) -> None:
    torch.manual_seed(0)
    network = SRGANDiscriminator(24, 4, head, normalisation)
    image = torch.rand(4, 3, 24, 24, requires_grad=True)
    (network(image) - torch.randn(4, 1)).square().mean().backward()
    assert image.grad is not None
    assert image.grad.abs().amax(dim=(1, 2, 3)).min() > 1e-8
    without_effect = set()  # a batch normalisation takes them away again; as in iSeeBetter
    if normalisation == "batch" and head == "pooled":
        without_effect = {id(conv.bias) for conv in convolutions(network.features)[1:]}
    for name, parameter in network.named_parameters():
        if id(parameter) not in without_effect:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 1e-8, name


@every_head
def test_spectral_normalisation_holds_every_layer_at_norm_1(head: Head) -> None:
    torch.manual_seed(0)
    network = SRGANDiscriminator(16, 4, head, "spectral")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("weight_orig"):
                parameter.normal_()
        for _ in range(60):
            network(torch.rand(1, 3, 16, 16))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 10
    for layer in layers:
        assert largest_singular_value(layer.weight) == pytest.approx(1, abs=0.05)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@every_normalisation
def test_in_eval_mode_a_image_does_not_depend_on_its_batch(normalisation: Normalisation) -> None:
    torch.manual_seed(0)
    network = SRGANDiscriminator(16, 4, "dense", normalisation)
    images = torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        network(images)
        network.eval()
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


@every_head
@every_normalisation
def test_a_state_dict_carries_the_whole_discriminator(
    head: Head, normalisation: Normalisation
) -> None:
    network = SRGANDiscriminator(16, 4, head, normalisation)
    images = torch.rand(3, 3, 16, 16)
    other = SRGANDiscriminator(16, 4, head, normalisation).eval()
    with torch.no_grad():
        network(images)  # moves the statistics of the normalisation
        network.eval()
        assert not torch.equal(network(images), other(images))
        other.load_state_dict(network.state_dict())
        assert torch.equal(network(images), other(images))


@every_head
@every_normalisation
def test_it_runs_in_bf16(head: Head, normalisation: Normalisation) -> None:
    torch.manual_seed(0)
    network = SRGANDiscriminator(16, 4, head, normalisation).eval()
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.05, atol=0.02)
