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
def test_an_image_of_less_than_8_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"at least 8x8 pixels, got {size[0]}x{size[1]}"):
        UNetDiscriminator(2)(torch.rand(1, 3, *size))


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
