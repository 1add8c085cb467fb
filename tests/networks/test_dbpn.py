from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from sr.networks.dbpn import DBPN
from sr.networks.receptive import measure_receptive_radius


def num_parameters(scale: int, *args: int, **kwargs: Any) -> int:
    with torch.device("meta"):
        network = DBPN(scale, *args, **kwargs)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("scale", "count"), [(2, 5_953_526), (3, 8_030_198), (4, 10_426_358), (8, 23_205_878)]
)
def test_the_published_size_has_the_published_number_of_parameters(scale: int, count: int) -> None:
    assert num_parameters(scale) == count
    assert num_parameters(scale, bicubic_skip=True) == count


@pytest.mark.parametrize(("scale", "count"), [(2, 8_811_086), (4, 15_348_302), (8, 34_026_062)])
def test_ten_stages_are_the_published_dbpnll(scale: int, count: int) -> None:
    assert num_parameters(scale, num_stages=10) == count


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((64, 18, 2), 190_734),
        ((128, 32, 2), 599_566),
        ((128, 32, 4), 1_398_494),
        ((128, 32, 6), 2_205_614),
    ],
)
def test_the_papers_small_sizes_can_be_built(size: tuple[int, int, int], count: int) -> None:
    assert num_parameters(4, *size) == count


@pytest.mark.parametrize("bicubic_skip", [False, True])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (8, 16)])
def test_the_result_is_scale_times_as_large(
    scale: int, size: tuple[int, int], bicubic_skip: bool
) -> None:
    network = DBPN(scale, 4, 4, num_stages=3, bicubic_skip=bicubic_skip)
    height, width = size
    with torch.no_grad():
        sr = network(torch.rand(2, 3, height, width))
    assert sr.shape == (2, 3, scale * height, scale * width)
    assert network.scale == scale


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_gradient_reaches_every_parameter(scale: int) -> None:
    torch.manual_seed(0)
    network = DBPN(scale, 8, 8, num_stages=4)
    sr = network(torch.rand(2, 3, 6, 6))
    (sr - torch.rand_like(sr)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-8, name


@pytest.mark.parametrize(
    ("scale", "num_stages", "radius"),
    [(2, 1, 5), (2, 2, 11), (2, 3, 17), (3, 2, 10), (4, 1, 3), (4, 3, 9), (4, 7, 21), (8, 2, 6)],
)
def test_each_stage_sees_3_pixels_farther_at_x4_and_x8_and_6_at_x2_and_x3(
    scale: int, num_stages: int, radius: int
) -> None:
    # In a row a pixel of a deconvolution's result sees 2 LR pixels at x4 and x8, but 3 at x2 and
    # (some) at x3.
    torch.manual_seed(0)
    assert measure_receptive_radius(DBPN(scale, 4, 4, num_stages)) == radius


def test_the_bicubic_skip_makes_the_receptive_radius_no_larger() -> None:
    torch.manual_seed(0)
    assert measure_receptive_radius(DBPN(4, 4, 4, num_stages=1, bicubic_skip=True)) == 3


def test_without_its_last_convolution_it_is_the_bicubic_enlargement_or_nothing() -> None:
    lr = torch.rand(1, 3, 4, 5)
    bicubic = functional.interpolate(lr, scale_factor=3.0, mode="bicubic")
    for bicubic_skip, expected in ((True, bicubic), (False, torch.zeros_like(bicubic))):
        network = DBPN(3, 4, 4, num_stages=2, bicubic_skip=bicubic_skip)
        nn.init.zeros_(network.output_conv.conv.weight)  # type: ignore[arg-type]  # a Conv2d
        assert torch.equal(network(lr), expected)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_an_untrained_network_of_the_published_size_gives_values_near_1(scale: int) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        sr = DBPN(scale)(torch.rand(1, 3, 6, 6))
    assert 1e-3 < sr.std() < 2


def test_the_state_dict_has_the_published_key_names() -> None:
    with torch.device("meta"):
        state_dict = DBPN(4).state_dict()
    shapes = {name: tuple(weights.shape) for name, weights in state_dict.items()}
    groups = {name.split(".")[0] for name in shapes}
    ups = {f"up{stage}" for stage in range(1, 8)}
    downs = {f"down{stage}" for stage in range(1, 7)}
    assert groups == {"feat0", "feat1", "output_conv"} | ups | downs
    expected = {
        "feat0.conv.weight": (256, 3, 3, 3),
        "feat0.act.weight": (1,),
        "feat1.conv.weight": (64, 256, 1, 1),
        "up1.up_conv1.deconv.weight": (64, 64, 8, 8),
        "up1.up_conv2.conv.bias": (64,),
        "down1.down_conv2.deconv.weight": (64, 64, 8, 8),
        "down2.conv.conv.weight": (64, 128, 1, 1),
        "up3.conv.conv.weight": (64, 128, 1, 1),
        "down6.conv.conv.weight": (64, 384, 1, 1),
        "up7.conv.act.weight": (1,),
        "up7.up_conv3.act.weight": (1,),
        "output_conv.conv.weight": (3, 448, 3, 3),
    }
    assert expected.items() <= shapes.items()
    for single in ("up1", "up2", "down1"):
        assert f"{single}.conv.conv.weight" not in shapes
    assert "output_conv.act.weight" not in shapes


def test_the_newest_map_comes_first() -> None:
    torch.manual_seed(0)
    network = DBPN(2, 4, 4, num_stages=3)
    taken: dict[str, torch.Tensor] = {}
    made: dict[str, torch.Tensor] = {}

    def record(name: str, layer: nn.Module) -> None:
        def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            taken[name], made[name] = inputs[0], output

        layer.register_forward_hook(keep)

    for name, layer in network.named_children():
        record(name, layer)
    network(torch.rand(1, 3, 3, 3))
    highs = [made["up3"], made["up2"], made["up1"]]
    assert torch.equal(taken["output_conv"], torch.cat(highs, dim=1))
    assert torch.equal(taken["down2"], torch.cat(highs[1:], dim=1))
    assert torch.equal(taken["up3"], torch.cat((made["down2"], made["down1"]), dim=1))
    assert torch.equal(taken["up2"], made["down1"])


def test_a_scale_without_a_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="DBPN: expected a scale of 2, 3, 4 or 8, got 5"):
        DBPN(5)


@pytest.mark.parametrize(("scale", "bicubic_skip"), [(2, False), (4, True)])
def test_a_tiny_network_learns_one_crop(scale: int, bicubic_skip: bool) -> None:
    torch.manual_seed(0)
    hr = crop(8 * scale)
    lr = functional.avg_pool2d(hr, scale)
    network = DBPN(scale, 16, 8, num_stages=2, bicubic_skip=bicubic_skip)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    best = torch.tensor(1.0)
    for _ in range(400):
        optimizer.zero_grad()
        error = (network(lr) - hr).square().mean()
        best = torch.minimum(best, error.detach())
        if best < 1e-4:
            break
        error.backward()
        optimizer.step()
    assert best < 1e-4  # 40 dB


def crop(size: int) -> torch.Tensor:
    """(1, 3, size, size): waves, a disc with a sharp rim, and a chirp, in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    waves = 0.5 + 0.4 * torch.sin(9 * x + 4 * y)
    disc = 0.1 + 0.8 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1).float()
    chirp = 0.5 + 0.3 * torch.cos(14 * x * y)
    return torch.stack((waves, disc, chirp))[None]
