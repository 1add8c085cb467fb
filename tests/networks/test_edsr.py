from collections.abc import Callable

import pytest
import torch
from torch import nn

from sr.networks.edsr import EDSR
from sr.networks.receptive import measure_receptive_radius


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("scale", "baseline", "large"),
    [
        (2, 1_369_859, 40_729_603),
        (3, 1_554_499, 43_680_003),
        (4, 1_517_571, 43_089_923),
        (8, 1_665_283, 45_450_243),
    ],
)
def test_the_papers_sizes_have_1_5_and_43_million_parameters(
    scale: int, baseline: int, large: int
) -> None:
    with torch.device("meta"):
        assert num_parameters(EDSR(scale)) == baseline
        assert num_parameters(EDSR(scale, 256, 32, 0.1)) == large


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (8, 16)])
def test_the_result_is_scale_times_as_large(scale: int, size: tuple[int, int]) -> None:
    network = EDSR(scale, num_features=4, num_blocks=1)
    height, width = size
    with torch.no_grad():
        sr = network(torch.rand(2, 3, height, width))
    assert sr.shape == (2, 3, scale * height, scale * width)
    assert network.scale == scale


@pytest.mark.parametrize("scale", [0, 1, 5, 6])
def test_other_scales_are_refused(scale: int) -> None:
    with pytest.raises(ValueError, match=f"2, 3, 4 or 8, got {scale}"):
        EDSR(scale)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_gradient_reaches_every_parameter(scale: int) -> None:
    torch.manual_seed(0)
    network = EDSR(scale, num_features=8, num_blocks=2, residual_scale=0.1)
    sr = network(torch.rand(2, 3, 6, 6))
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-8, name


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("num_blocks", [1, 3])
def test_the_receptive_radius_is_4_and_2_a_block(scale: int, num_blocks: int) -> None:
    # conv_first 1, 2 a block, conv_after_body 1, first of the upsampling 1; what follows at the
    # higher resolutions adds less than one LR pixel and so reads one more: 1.
    torch.manual_seed(0)
    assert measure_receptive_radius(EDSR(scale, 4, num_blocks)) == 4 + 2 * num_blocks


@pytest.mark.parametrize(
    ("scale", "upsample"),
    [
        (2, {0: 256}),
        (3, {0: 576}),
        (4, {0: 256, 2: 256}),
        (8, {0: 256, 2: 256, 4: 256}),
    ],
)
def test_the_state_dict_has_the_keys_and_shapes_of_basicsr(
    scale: int, upsample: dict[int, int]
) -> None:
    expected = {"conv_first": (64, 3), "conv_after_body": (64, 64), "conv_last": (3, 64)}
    for block in range(16):
        expected |= {f"body.{block}.conv1": (64, 64), f"body.{block}.conv2": (64, 64)}
    expected |= {f"upsample.{place}": (width, 64) for place, width in upsample.items()}
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (out_width, in_width) in expected.items():
        shapes[f"{layer}.weight"] = (out_width, in_width, 3, 3)
        shapes[f"{layer}.bias"] = (out_width,)
    with torch.device("meta"):
        state = EDSR(scale).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes


def test_the_last_layer_adds_255ths_to_the_mean_of_div2k() -> None:
    network = EDSR(2, num_features=4, num_blocks=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.conv_last.bias.fill_(2 * 255.0)  # type: ignore[union-attr]  # made with a bias
        sr = network(torch.rand(1, 3, 4, 5))
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    torch.testing.assert_close(sr, 2 + mean.expand_as(sr))


def test_the_first_layer_reads_the_difference_from_the_mean_in_255ths() -> None:
    network = EDSR(2, num_features=4, num_blocks=1)
    seen = []
    network.conv_first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0.0, 0.4371, 1.0]).view(1, 3, 1, 1))
    expected = torch.tensor([-0.4488 * 255, 0, 0.596 * 255]).view(1, 3, 1, 1)
    torch.testing.assert_close(seen[0], expected)


def test_blocks_of_residual_scale_zero_do_nothing() -> None:
    scaled, empty = EDSR(2, 4, 2, residual_scale=0.0), EDSR(2, 4, 0)
    empty.load_state_dict(
        {key: value for key, value in scaled.state_dict().items() if not key.startswith("body.")}
    )
    lr = torch.rand(1, 3, 5, 4)
    assert torch.equal(scaled(lr), empty(lr))


def test_a_tiny_one_learns_a_crop_by_heart(
    overfit: Callable[[nn.Module, int, float], float],
) -> None:
    torch.manual_seed(0)
    assert overfit(EDSR(2, num_features=16, num_blocks=1), 150, 5e-3) > 40
