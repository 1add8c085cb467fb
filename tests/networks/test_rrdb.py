from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from sr.networks.rrdb import RRDBNet


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
