from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from sr.networks.receptive import measure_receptive_radius
from sr.networks.rrdb import RRDBNet


@pytest.mark.parametrize(
    ("scale", "num_blocks", "expected"),
    [
        (4, 23, 16_697_987),
        (4, 6, 4_467_779),
        (2, 6, 4_472_963),
        (1, 6, 4_493_699),
        (8, 6, 4_504_707),
    ],
)
def test_the_published_sizes_have_the_published_counts_of_parameters(
    scale: int, num_blocks: int, expected: int
) -> None:
    with torch.device("meta"):
        network = RRDBNet(scale, num_blocks=num_blocks)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 5), (8, 16)])
def test_the_result_is_scale_times_as_large(scale: int, size: tuple[int, int]) -> None:
    network = RRDBNet(scale, num_features=4, num_blocks=1, num_growth=2)
    height, width = size
    with torch.no_grad():
        sr = network(torch.rand(2, 3, height, width))
    assert sr.shape == (2, 3, scale * height, scale * width)
    assert network.scale == scale


@pytest.mark.parametrize("scale", [0, 3, 5])
def test_other_scales_are_refused(scale: int) -> None:
    with pytest.raises(ValueError, match=f"1, 2, 4 or 8, got {scale}"):
        RRDBNet(scale)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_gradient_reaches_every_parameter(scale: int) -> None:
    torch.manual_seed(0)
    network = RRDBNet(scale, num_features=8, num_blocks=2, num_growth=4)
    sr = network(torch.rand(2, 3, 6, 6))
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-9, name


@pytest.mark.parametrize(
    ("scale", "num_blocks", "radius"),
    [(4, 0, 4), (4, 1, 19), (8, 1, 19), (2, 0, 8), (2, 1, 38), (1, 0, 16)],
)
def test_the_receptive_radius_is_4_and_15_a_block_in_folded_pixels(
    scale: int, num_blocks: int, radius: int
) -> None:
    # conv_first 1, 5 a dense block and so 15 a block, conv_body 1; what follows at the higher
    # resolutions reaches into the second folded pixel: 2. These are 2 (x2) or 4 (x1) LR pixels.
    torch.manual_seed(0)
    network = RRDBNet(scale, num_features=4, num_blocks=num_blocks, num_growth=2)
    assert measure_receptive_radius(network, limit=64) == radius


@pytest.mark.parametrize(("scale", "folded"), [(1, 48), (2, 12), (4, 3), (8, 3)])
def test_the_state_dict_has_the_published_keys_and_shapes(scale: int, folded: int) -> None:
    expected = {"conv_first": (64, folded), "conv_body": (64, 64)}
    for block in range(6):
        for dense in ("rdb1", "rdb2", "rdb3"):
            layer = f"body.{block}.{dense}.conv"
            expected |= {f"{layer}{n}": (32, 64 + 32 * (n - 1)) for n in range(1, 5)}
            expected[f"{layer}5"] = (64, 192)
    ups = ["conv_up1", "conv_up2", "conv_up3"] if scale == 8 else ["conv_up1", "conv_up2"]
    expected |= dict.fromkeys([*ups, "conv_hr"], (64, 64)) | {"conv_last": (3, 64)}
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (out_width, in_width) in expected.items():
        shapes[f"{layer}.weight"] = (out_width, in_width, 3, 3)
        shapes[f"{layer}.bias"] = (out_width,)
    with torch.device("meta"):
        state = RRDBNet(scale, num_blocks=6).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes


@pytest.mark.parametrize(
    ("scale", "size", "padding", "mode"),
    [
        (2, (7, 6), (0, 0, 0, 1), "replicate"),
        (2, (1, 5), (0, 1, 0, 1), "replicate"),
        (1, (9, 6), (0, 2, 0, 3), "replicate"),
        (1, (3, 9), (0, 3, 0, 1), "replicate"),
        (1, (2, 8), (0, 0, 0, 2), "replicate"),
    ],
)
def test_an_odd_image_gives_the_cropped_result_of_the_padded_one(
    scale: int, size: tuple[int, int], padding: tuple[int, int, int, int], mode: str
) -> None:
    height, width = size
    network = RRDBNet(scale, num_features=4, num_blocks=1, num_growth=2)
    lr = torch.rand(1, 3, height, width)
    with torch.no_grad():
        sr = network(lr)
        padded = network(functional.pad(lr, padding, mode=mode))
    assert torch.equal(sr, padded[:, :, : scale * height, : scale * width])


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_tile_that_begins_at_a_multiple_gives_the_whole_images_result(scale: int) -> None:
    torch.manual_seed(0)
    network = RRDBNet(scale, num_features=4, num_blocks=0)
    radius = {1: 16, 2: 8, 4: 4}[scale]
    lr = torch.rand(1, 3, 41, 47)
    top, left = 4, 8
    with torch.no_grad():
        whole = network(lr)[:, :, scale * (top + radius) :, scale * (left + radius) :]
        tile = network(lr[:, :, top:, left:])[:, :, scale * radius :, scale * radius :]
    torch.testing.assert_close(tile, whole)


def test_only_the_dense_blocks_start_at_a_tenth_of_kaimings_size() -> None:
    torch.manual_seed(0)
    network = RRDBNet(4, num_blocks=1)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            kaiming = (2 / (9 * layer.in_channels)) ** 0.5
            default = kaiming / 6**0.5  # PyTorch's, uniform
            spread = 0.1 * kaiming if name.startswith("body.") else default
            assert float(layer.weight.detach().std()) == pytest.approx(spread, rel=0.1), name
            assert bool(layer.bias.any()) != name.startswith("body."), name


def test_an_untrained_block_adds_a_fifth_of_its_input() -> None:
    torch.manual_seed(0)
    network = RRDBNet(4, num_blocks=1)
    x = torch.rand(1, 64, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(network.body[0](x), 1.2 * x, rtol=0, atol=0.05)


def test_published_weights_load_and_upscale(shared_data: Path) -> None:
    path = shared_data / "weights" / "RealESRGAN_x4plus_anime_6B.pth"
    weights = torch.load(path, map_location="cpu", weights_only=True)["params"]
    network = RRDBNet(4, num_blocks=6)
    network.load_state_dict(weights, strict=True)
    ramp = torch.linspace(0.3, 0.7, 16).expand(1, 3, 16, 16)
    with torch.no_grad():
        sr = network(ramp)
    enlarged = functional.interpolate(ramp, scale_factor=4, mode="bilinear")
    assert (sr - enlarged).abs().mean() < 0.02


def test_a_tiny_one_learns_a_crop_by_heart(
    overfit: Callable[[nn.Module, int, float], float],
) -> None:
    torch.manual_seed(0)
    assert overfit(RRDBNet(4, num_features=32, num_blocks=1, num_growth=16), 250, 3e-3) > 40
