"""What holds for every generator, whatever its paper."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.compact import Compact
from sr.networks.dbpn import DBPN
from sr.networks.edsr import EDSR
from sr.networks.iseebetter_srresnet import ISeeBetterSRResNet
from sr.networks.msrresnet import MSRResNet
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN
from sr.networks.receptive_radius import MAX_RADIUS, measure_receptive_radius
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import SPAN
from sr.networks.srresnet import SRResNet

DBPN_SS = {"scale": 4, "num_shallow_features": 64, "num_features": 18, "num_stages": 2}
DBPN_S = {"scale": 4, "num_shallow_features": 128, "num_features": 32, "num_stages": 2}
EDSR_LARGE = {"num_features": 256, "num_blocks": 32}
SIZES = ((1, 1), (1, 9), (7, 5), (8, 16), (23, 16))
FROM_1 = (1, 2, 3, 4, 8)


@dataclass(frozen=True)
class Generator:
    """A network of a few channels, and the scales that it has."""

    build: Callable[[int], nn.Module]
    scales: tuple[int, ...] = (2, 3, 4, 8)


def build_window(scale: int) -> nn.Module:
    return PackedWindow(RBPN(scale, 8, 4, num_stages=2, num_res_blocks=2, num_frames=4))


def build_window_with_skip(scale: int) -> nn.Module:
    return PackedWindow(RBPN(scale, 4, 4, 1, 1, num_frames=3, bicubic_skip=True))


GENERATORS: Mapping[str, Generator] = {
    "Compact": Generator(lambda scale: Compact(scale, 4, num_convs=2), FROM_1),
    "DBPN": Generator(lambda scale: DBPN(scale, 8, 8, num_stages=4)),
    "DBPN with skip": Generator(lambda scale: DBPN(scale, 4, 4, num_stages=3, bicubic_skip=True)),
    "EDSR": Generator(lambda scale: EDSR(scale, 8, num_blocks=2, residual_scale=0.1)),
    "ISeeBetterSRResNet": Generator(lambda scale: ISeeBetterSRResNet(scale, 8), (2, 4, 8)),
    "MSRResNet": Generator(lambda scale: MSRResNet(scale, 16, num_blocks=2)),
    "RBPN": Generator(build_window),
    "RBPN with skip": Generator(build_window_with_skip),
    "RLFN": Generator(lambda scale: RLFN(scale, 8, num_blocks=2), FROM_1),
    "RRDBNet": Generator(lambda scale: RRDBNet(scale, 8, 2, num_growth=4), (1, 2, 4, 8)),
    "SPAN": Generator(lambda scale: SPAN(scale, 8, num_blocks=2), FROM_1),
    "SPAN, not normalized": Generator(lambda scale: SPAN(scale, 8, num_blocks=2, normalise=False)),
    "SRResNet": Generator(lambda scale: SRResNet(scale, 8, num_blocks=2), FROM_1),
}

every_generator = pytest.mark.parametrize("name", GENERATORS)
every_scale = pytest.mark.parametrize(
    ("name", "scale"),
    [(name, scale) for name, generator in GENERATORS.items() for scale in generator.scales],
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def make_lr(network: nn.Module, size: tuple[int, int], batch_size: int = 2) -> Tensor:
    num_channels = network.num_channels if isinstance(network, PackedWindow) else 3
    return torch.rand(batch_size, num_channels, *size)


def move_statistics(network: nn.Module) -> nn.Module:
    """Run in train mode, as training does: batch normalization moves."""
    with torch.no_grad():
        network(make_lr(network, (16, 16)))
    return network.eval()


@every_scale
def test_the_result_is_scale_times_as_large(name: str, scale: int) -> None:
    network = GENERATORS[name].build(scale).eval()
    assert network.scale == scale
    for height, width in SIZES:
        with torch.no_grad():
            sr = network(make_lr(network, (height, width)))
        assert sr.shape == (2, 3, scale * height, scale * width)
        assert sr.isfinite().all()


@every_scale
def test_the_gradient_reaches_every_parameter(name: str, scale: int) -> None:
    network = GENERATORS[name].build(scale)
    sr = network(make_lr(network, (6, 6)))
    (sr - torch.rand_like(sr)).square().mean().backward()
    # Small where every layer starts with a gain of 0.1, or attention near its middle.
    least = {"ISeeBetterSRResNet": 1e-9, "MSRResNet": 0, "RLFN": 0, "RRDBNet": 1e-9}.get(name, 1e-8)
    without_effect = set()  # batch normalization takes these out again with the mean
    if name == "ISeeBetterSRResNet":
        without_effect = {f"block{b}.conv{c}.bias" for b in (2, 3, 4, 5, 6) for c in (1, 2)}
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        if parameter_name not in without_effect:
            assert parameter.grad.abs().max() > least, parameter_name


@pytest.mark.parametrize(
    "name", ["DBPN", "EDSR", "ISeeBetterSRResNet", "MSRResNet", "RBPN", "RRDBNet"]
)
@pytest.mark.parametrize("scale", [0, 5, 6])
def test_a_scale_that_the_network_lacks_is_refused_with_those_that_it_has(
    name: str, scale: int
) -> None:
    *others, last = map(str, GENERATORS[name].scales)
    expected = f"expected a scale of {', '.join(others)} or {last}, got {scale}"
    with pytest.raises(ValueError, match=expected):
        GENERATORS[name].build(scale)


@every_generator
def test_a_state_dict_carries_the_whole_network(name: str) -> None:
    network = move_statistics(GENERATORS[name].build(2))
    other = GENERATORS[name].build(2).eval()
    lr = make_lr(network, (7, 6))
    with torch.no_grad():
        assert not torch.equal(network(lr), other(lr))
        other.load_state_dict(network.state_dict(), strict=True)
        assert torch.equal(network(lr), other(lr))
    for key, tensor in other.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key]), key


@every_generator
def test_in_eval_mode_an_image_does_not_depend_on_its_batch(name: str) -> None:
    network = move_statistics(GENERATORS[name].build(2))
    images = make_lr(network, (8, 7), batch_size=3)
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", ["Compact", "EDSR", "ISeeBetterSRResNet", "SRResNet"])
def test_only_the_result_of_iseebetters_srresnet_is_bounded(name: str) -> None:
    network = move_statistics(GENERATORS[name].build(2))
    with torch.no_grad():
        sr = network(100 * torch.randn(2, 3, 7, 5))
    assert (sr.min() >= 0 and sr.max() <= 1) == (name == "ISeeBetterSRResNet")


@every_generator
def test_the_seed_determines_the_weights(name: str) -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(GENERATORS[name].build(2).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("build", "arguments", "count"),
    [
        (Compact, {"scale": 4}, 621_424),
        (DBPN, {"scale": 2}, 5_953_526),
        (DBPN, {"scale": 3}, 8_030_198),
        (DBPN, {"scale": 4}, 10_426_358),
        (DBPN, {"scale": 8}, 23_205_878),
        (DBPN, {"scale": 4, "bicubic_skip": True}, 10_426_358),
        (DBPN, {"scale": 2, "num_stages": 10}, 8_811_086),  # DBPNLL
        (DBPN, {"scale": 4, "num_stages": 10}, 15_348_302),
        (DBPN, {"scale": 8, "num_stages": 10}, 34_026_062),
        (DBPN, DBPN_SS, 190_734),
        (DBPN, DBPN_S, 599_566),
        (DBPN, {**DBPN_S, "num_stages": 4}, 1_398_494),  # M
        (DBPN, {**DBPN_S, "num_stages": 6}, 2_205_614),  # L
        (EDSR, {"scale": 2}, 1_369_859),
        (EDSR, {"scale": 3}, 1_554_499),
        (EDSR, {"scale": 4}, 1_517_571),
        (EDSR, {"scale": 8}, 1_665_283),
        (EDSR, {"scale": 2, **EDSR_LARGE}, 40_729_603),
        (EDSR, {"scale": 3, **EDSR_LARGE}, 43_680_003),
        (EDSR, {"scale": 4, **EDSR_LARGE}, 43_089_923),
        (EDSR, {"scale": 8, **EDSR_LARGE}, 45_450_243),
        (ISeeBetterSRResNet, {"scale": 2}, 586_379),
        (ISeeBetterSRResNet, {"scale": 4}, 734_092),
        (ISeeBetterSRResNet, {"scale": 8}, 881_805),
        (MSRResNet, {"scale": 2}, 1_369_859),
        (MSRResNet, {"scale": 3}, 1_554_499),
        (MSRResNet, {"scale": 4}, 1_517_571),
        (MSRResNet, {"scale": 8}, 1_665_283),
        (RBPN, {"scale": 2}, 10_134_119),
        (RBPN, {"scale": 3}, 11_358_823),
        (RBPN, {"scale": 4}, 12_771_943),
        (RBPN, {"scale": 8}, 20_308_583),
        (RLFN, {"scale": 4}, 543_740),
        (
            RLFN,
            {"scale": 4, "num_features": 46, "num_blocks": 4, "num_inner_features": 48},
            317_218,
        ),
        (RRDBNet, {"scale": 4}, 16_697_987),
        (RRDBNet, {"scale": 4, "num_blocks": 6}, 4_467_779),
        (RRDBNet, {"scale": 2, "num_blocks": 6}, 4_472_963),
        (RRDBNet, {"scale": 1, "num_blocks": 6}, 4_493_699),
        (RRDBNet, {"scale": 8, "num_blocks": 6}, 4_504_707),
        (SPAN, {"scale": 2}, 1_824_900),
        (SPAN, {"scale": 3}, 1_831_395),
        (SPAN, {"scale": 4}, 1_840_488),
        (SPAN, {"scale": 8}, 1_902_840),
        (SPAN, {"scale": 4, "num_features": 28}, 634_048),  # NTIRE 2024
        (SPAN, {"scale": 4, "num_features": 52}, 2_157_136),
        (SRResNet, {"scale": 4}, 1_547_350),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(
    build: Callable[..., nn.Module], arguments: dict[str, Any], count: int
) -> None:
    with torch.device("meta"):
        network = build(**arguments)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize(
    ("build", "arguments", "radius"),
    [
        (Compact, (4,), 18),
        *((Compact, (2, 4, n), n + 2) for n in (1, 2, 5)),
        # In a row a pixel of a deconvolution's result sees 2 LR pixels at x4 and x8, but 3 at x2
        # and (some) at x3.
        *((DBPN, (4, 4, 4, n), 3 * n) for n in (1, 3, 7)),
        (DBPN, (8, 4, 4, 2), 6),
        *((DBPN, (2, 4, 4, n), 6 * n - 1) for n in (1, 2, 3)),
        (DBPN, (3, 4, 4, 2), 10),
        (DBPN, (4, 4, 4, 1, True), 3),
        # conv_first 1, 2 a block, conv_after_body 1, first of the upsampling 1; what follows at the
        # higher resolutions adds less than one LR pixel and so reads one more: 1.
        *((EDSR, (scale, 4, n), 4 + 2 * n) for scale in (2, 3, 4, 8) for n in (1, 3)),
        # 4 first, 10 in five blocks, 1 before the skip, 1 first of the upsampling, 2 of the rest.
        (ISeeBetterSRResNet, (4, 4), 18),
        # conv_first 1, 2 a block, upconv1 1; what follows adds at most one LR pixel: 1.
        *((MSRResNet, (scale, 4, n), 3 + 2 * n) for scale in (2, 3, 4, 8) for n in (1, 3)),
        (RLFN, (4, 8), MAX_RADIUS),
        # conv_first 1, 5 a dense block and so 15 a block, conv_body 1; what follows at the higher
        # resolutions reaches into the second folded pixel: 2. These are 2 (x2) or 4 (x1) LR pixels.
        (RRDBNet, (4, 4, 0, 2), 4),
        (RRDBNet, (4, 4, 1, 2), 19),
        (RRDBNet, (8, 4, 1, 2), 19),
        (RRDBNet, (2, 4, 0, 2), 8),
        (RRDBNet, (2, 4, 1, 2), 38),
        (RRDBNet, (1, 4, 0, 2), 16),
        (SPAN, (4,), 21),
        (SPAN, (4, 48, 6, False), 21),
        *((SPAN, (2, 6, n), 3 * n + 3) for n in (1, 2, 4)),
        # 4 head, 2 a block, 1 fusion, 1 first of the upsampling; the rest adds 6 of 4 subpixels: 2.
        *((SRResNet, (4, 4, n), 8 + 2 * n) for n in (1, 2, 8)),
        (SRResNet, (4, 4, 16), MAX_RADIUS),
    ],
)
def test_the_receptive_radius_is_the_sum_over_the_layers(
    build: Callable[..., nn.Module], arguments: tuple[Any, ...], radius: int
) -> None:
    limit = 2 * MAX_RADIUS if radius > MAX_RADIUS else MAX_RADIUS
    assert measure_receptive_radius(build(*arguments).eval(), limit) == radius


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "num_steps", "learning_rate"),
    [
        (lambda: Compact(2, 16, num_convs=4), 100, 3e-3),
        (lambda: DBPN(2, 16, 8, num_stages=2), 400, 5e-3),
        (lambda: DBPN(4, 16, 8, num_stages=2, bicubic_skip=True), 400, 5e-3),
        (lambda: EDSR(2, 16, num_blocks=1), 150, 5e-3),
        (lambda: ISeeBetterSRResNet(2, 16), 100, 3e-3),
        (lambda: MSRResNet(2, 16, num_blocks=1), 150, 5e-3),
        (lambda: RLFN(2, 16, num_blocks=2), 300, 3e-3),
        (lambda: RRDBNet(4, 32, num_blocks=1, num_growth=16), 250, 3e-3),
        (lambda: SPAN(2, 16, num_blocks=2), 200, 1e-3),
        (lambda: SPAN(2, 16, num_blocks=2, normalise=False), 350, 1e-3),
        (lambda: SRResNet(2, 16, num_blocks=1), 100, 5e-3),
    ],
)
def test_it_overfits_one_crop_to_40_db(
    network: Callable[[], nn.Module], num_steps: int, learning_rate: float
) -> None:
    y, x = torch.meshgrid(torch.arange(12) / 12, torch.arange(12) / 12, indexing="ij")
    waves, edge = 0.5 + 0.4 * torch.sin(25 * x * y), 0.1 + 0.8 * (x + y > 0.9)
    hr = torch.stack([waves, edge, 0.5 + 0.4 * torch.cos(18 * (x - y))])[None]
    generator = network()
    assert isinstance(generator.scale, int)
    lr = functional.avg_pool2d(hr, generator.scale)
    optimizer = torch.optim.Adam(generator.parameters(), learning_rate)
    for _ in range(num_steps):
        optimizer.zero_grad()
        mse = (generator(lr) - hr).square().mean()
        if -10 * math.log10(mse.item()) > 40:
            return
        mse.backward()
        optimizer.step()
    pytest.fail(f"{-10 * math.log10(mse.item()):.1f} dB after {num_steps} steps")
