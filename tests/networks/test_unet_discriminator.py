import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.unet_discriminator import UNetDiscriminator

# Of UNetDiscriminatorSN(3, num_feat=64) in the Real-ESRGAN repository: (key, shape).
PUBLISHED = {
    "conv0.weight": (64, 3, 3, 3),
    "conv0.bias": (64,),
    "conv1.weight_orig": (128, 64, 4, 4),
    "conv1.weight_u": (128,),
    "conv1.weight_v": (1024,),
    "conv2.weight_orig": (256, 128, 4, 4),
    "conv2.weight_u": (256,),
    "conv2.weight_v": (2048,),
    "conv3.weight_orig": (512, 256, 4, 4),
    "conv3.weight_u": (512,),
    "conv3.weight_v": (4096,),
    "conv4.weight_orig": (256, 512, 3, 3),
    "conv4.weight_u": (256,),
    "conv4.weight_v": (4608,),
    "conv5.weight_orig": (128, 256, 3, 3),
    "conv5.weight_u": (128,),
    "conv5.weight_v": (2304,),
    "conv6.weight_orig": (64, 128, 3, 3),
    "conv6.weight_u": (64,),
    "conv6.weight_v": (1152,),
    "conv7.weight_orig": (64, 64, 3, 3),
    "conv7.weight_u": (64,),
    "conv7.weight_v": (576,),
    "conv8.weight_orig": (64, 64, 3, 3),
    "conv8.weight_u": (64,),
    "conv8.weight_v": (576,),
    "conv9.weight": (1, 64, 3, 3),
    "conv9.bias": (1,),
}


def norm_of(conv: nn.Module) -> float:
    """Largest singular value of the weight that the layer computes with."""
    assert isinstance(conv, nn.Conv2d)
    return float(torch.linalg.matrix_norm(conv.weight.detach().flatten(1), ord=2))


def by_twos(network: UNetDiscriminator, image: Tensor) -> Tensor:
    """The same layers with nn.Upsample by 2, as published; for sides that are multiples of 8."""
    double = nn.Upsample(scale_factor=2, mode="bilinear")
    levels = [functional.leaky_relu(network.conv0(image), 0.2)]
    for down in (network.conv1, network.conv2, network.conv3):
        levels.append(functional.leaky_relu(down(levels[-1]), 0.2))
    x = levels.pop()
    for up in (network.conv4, network.conv5, network.conv6):
        x = functional.leaky_relu(up(double(x)), 0.2)
        skip = levels.pop()
        if network.skip_connections:
            x = x + skip
    for last in (network.conv7, network.conv8):
        x = functional.leaky_relu(last(x), 0.2)
    logits: Tensor = network.conv9(x)
    return logits


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_the_published_size_has_4_376_897_parameters(spectral_norm: bool) -> None:
    network = UNetDiscriminator(spectral_norm=spectral_norm)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_376_897


def test_the_state_dict_has_the_published_keys_and_shapes() -> None:
    state = UNetDiscriminator().state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == PUBLISHED


@pytest.mark.parametrize("skip_connections", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (24, 16), (32, 40)])
def test_where_8_divides_the_sides_each_enlargement_is_by_2(
    size: tuple[int, int], skip_connections: bool
) -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(4, skip_connections).eval()
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(network(image), by_twos(network, image))


@pytest.mark.parametrize("skip_connections", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (9, 15), (17, 40), (33, 31)])
def test_there_is_a_logit_for_every_pixel_of_any_size(
    size: tuple[int, int], skip_connections: bool
) -> None:
    network = UNetDiscriminator(2, skip_connections)
    assert network(torch.rand(2, 3, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize("size", [(7, 32), (32, 7)])
def test_a_image_of_less_than_8_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"at least 8x8 pixels, got {size[0]}x{size[1]}"):
        UNetDiscriminator(2)(torch.rand(1, 3, *size))


def test_four_channels_are_refused() -> None:
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 4"):
        UNetDiscriminator(2)(torch.rand(1, 4, 8, 8))


def test_skips_carry_what_the_way_down_loses() -> None:
    """With the way up silent, the image's own fine pattern still reaches its logits."""
    torch.manual_seed(0)
    network = UNetDiscriminator(4, spectral_norm=False).eval()
    nn.init.zeros_(network.conv6.weight)
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        with_skips = network(images)
        network.skip_connections = False
        without = network(images)
    assert (with_skips[0] - with_skips[1]).abs().max() > 1e-4
    assert torch.equal(without[0], without[1])


def test_the_result_is_a_logit_and_not_bounded() -> None:
    network = UNetDiscriminator(2).eval()
    image = torch.rand(1, 3, 16, 16)
    assert network.conv9.bias is not None
    with torch.no_grad():
        network.conv9.bias.fill_(7.0)
        assert network(image).mean() > 5
        network.conv9.bias.fill_(-7.0)
        assert network(image).mean() < -5


def test_spectral_normalisation_holds_the_inner_layers_at_norm_1() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(8)
    with torch.no_grad():
        for index in range(1, 9):
            network.get_parameter(f"conv{index}.weight_orig").normal_()
        network.conv0.weight.mul_(10)
        for _ in range(60):
            network(torch.rand(1, 3, 8, 8))
    for index in range(1, 9):
        assert norm_of(network.get_submodule(f"conv{index}")) == pytest.approx(1, abs=0.05)
    assert norm_of(network.conv0) > 3  # the first layer is free


@pytest.mark.parametrize("seed", range(5))
def test_an_untrained_discriminator_has_small_logits_in_eval_mode(seed: int) -> None:
    torch.manual_seed(seed)
    network = UNetDiscriminator(4).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 16, 16)).abs().max() < 5


def test_in_eval_mode_a_pass_changes_no_state() -> None:
    network = UNetDiscriminator(4)
    image = torch.rand(1, 3, 8, 8)
    start = {key: value.clone() for key, value in network.state_dict().items()}
    network.eval()(image)
    assert all(torch.equal(start[key], value) for key, value in network.state_dict().items())
    network.train()(image)
    changed = {key for key in start if not torch.equal(start[key], network.state_dict()[key])}
    assert changed == {f"conv{index}.weight_{side}" for index in range(1, 9) for side in "uv"}


def test_one_backward_pass_may_follow_two_forward_passes() -> None:
    """As in a step that judges hr and sr: the second pass must not spoil the first's graph."""
    network = UNetDiscriminator(4)
    difference = network(torch.rand(1, 3, 8, 8)).mean() - network(torch.rand(1, 3, 8, 8)).mean()
    difference.backward()
    gradient = network.get_parameter("conv1.weight_orig").grad
    assert gradient is not None
    assert gradient.any()


@pytest.mark.parametrize("skip_connections", [True, False])
@pytest.mark.parametrize("spectral_norm", [True, False])
def test_the_gradient_reaches_the_image_and_every_parameter(
    skip_connections: bool, spectral_norm: bool
) -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(4, skip_connections, spectral_norm)
    image = torch.rand(2, 3, 24, 24, requires_grad=True)
    logits = network(image)
    (logits - torch.randn_like(logits)).square().mean().backward()
    assert image.grad is not None
    assert image.grad.abs().amax(dim=(1, 2, 3)).min() > 1e-8
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-8, name


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_a_state_dict_carries_the_whole_discriminator(spectral_norm: bool) -> None:
    network = UNetDiscriminator(4, spectral_norm=spectral_norm)
    images = torch.rand(2, 3, 16, 16)
    other = UNetDiscriminator(4, spectral_norm=spectral_norm).eval()
    with torch.no_grad():
        network(images)  # moves the singular vectors
        network.eval()
        assert not torch.equal(network(images), other(images))
        other.load_state_dict(network.state_dict())
        assert torch.equal(network(images), other(images))


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_it_runs_in_bf16(spectral_norm: bool) -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(4, spectral_norm=spectral_norm).eval()
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.05, atol=0.05)
