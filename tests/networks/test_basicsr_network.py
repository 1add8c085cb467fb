"""Networks of BasicSR; what needs it is skipped where it is not installed."""

import importlib.util
import sys
from typing import Any

import pytest
import torch
from torch import nn

from sr.networks.basicsr_network import (
    BasicSRNetwork,
    MissingBasicSRError,
    networks_of_basicsr,
)
from sr.networks.compact import Compact
from sr.networks.edsr import EDSR
from sr.networks.msrresnet import MSRResNet
from sr.networks.rrdb import RRDBNet

needs_basicsr = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None, reason="needs BasicSR, see the README"
)

SWINIR: dict[str, Any] = {
    "img_size": 16,
    "window_size": 8,
    "depths": [2],
    "embed_dim": 12,
    "num_heads": [2],
    "mlp_ratio": 2,
    "upsampler": "pixelshuffledirect",
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_without_basicsr_the_message_says_where_it_is_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "basicsr", None)
    monkeypatch.delitem(sys.modules, "basicsr.archs", raising=False)
    with pytest.raises(MissingBasicSRError, match=r"generator\.type: BasicSR cannot.*training"):
        BasicSRNetwork(4, "SwinIR", {})


@needs_basicsr
@pytest.mark.parametrize(
    ("arch", "scale", "options", "size_multiple"),
    [
        ("SwinIR", 4, SWINIR, 8),
        ("SwinIR", 3, {**SWINIR, "window_size": 7, "img_size": 14}, 7),
        ("RCAN", 2, {"num_feat": 8, "num_group": 1, "num_block": 1, "squeeze_factor": 4}, 1),
        ("RRDBNet", 2, {"num_feat": 8, "num_block": 1, "num_grow_ch": 4}, 2),
        ("RRDBNet", 1, {"num_feat": 8, "num_block": 1, "num_grow_ch": 4}, 4),
        ("SRVGGNetCompact", 4, {"num_feat": 8, "num_conv": 1}, 1),
        (
            "ECBSR",
            3,
            {"num_block": 1, "num_channel": 8, "with_idt": False, "act_type": "prelu"},
            1,
        ),
    ],
)
def test_networks_of_the_registry_enlarge_images_of_any_size(
    arch: str, scale: int, options: dict[str, Any], size_multiple: int
) -> None:
    network = BasicSRNetwork(scale, arch, options)
    assert network.size_multiple == size_multiple
    lr = torch.rand(2, 3, 9, 13)
    sr = network(lr)
    assert sr.shape == (2, 3, 9 * scale, 13 * scale)
    sr.mean().backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    whole = torch.rand(1, 3, 2 * size_multiple, 4 * size_multiple)
    with torch.no_grad():
        assert torch.equal(network.eval()(whole), network.network(whole))


@needs_basicsr
def test_the_state_dict_is_that_of_their_network() -> None:
    network, other = (BasicSRNetwork(4, "SwinIR", SWINIR) for _ in range(2))
    weights = network.state_dict()
    assert weights.keys() == network.network.state_dict().keys()
    other.load_state_dict(weights)
    lr = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(network.eval()(lr), other.eval()(lr))


@needs_basicsr
@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        ("SwinIr", {}, r"generator\.arch: did you mean SwinIR\? expected .*RCAN.*; got SwinIr"),
        ("RCAN", {"upscale": 2}, r"generator\.options\.upscale: expected .* 4, or nothing; got 2"),
        ("RCAN", {"uscale": 2}, r"RCAN of BasicSR cannot be built .*'uscale'; it takes \(num_in"),
        ("SwinIR", {**SWINIR, "upsampler": ""}, r"enlarges RGB images 4 times; SwinIR .*makes"),
        ("EDVR", {}, "generator.arch: expected a network that enlarges RGB images 4 times"),
        ("MSRResNet", {"num_in_ch": 1}, "expected a network that enlarges RGB images 4 times"),
    ],
)
def test_what_makes_no_generator_is_refused(
    arch: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        BasicSRNetwork(4, arch, options)


@needs_basicsr
@pytest.mark.parametrize(
    ("ours", "arch", "options"),
    [
        (RRDBNet(4, 8, 2, 4), "RRDBNet", {"num_feat": 8, "num_block": 2, "num_grow_ch": 4}),
        (RRDBNet(2, 8, 1, 4), "RRDBNet", {"num_feat": 8, "num_block": 1, "num_grow_ch": 4}),
        (RRDBNet(1, 8, 1, 4), "RRDBNet", {"num_feat": 8, "num_block": 1, "num_grow_ch": 4}),
        (MSRResNet(4, 8, 2), "MSRResNet", {"num_feat": 8, "num_block": 2}),
        (MSRResNet(3, 8, 2), "MSRResNet", {"num_feat": 8, "num_block": 2}),
        (MSRResNet(2, 8, 2), "MSRResNet", {"num_feat": 8, "num_block": 2}),
        (EDSR(4, 8, 2), "EDSR", {"num_feat": 8, "num_block": 2}),
        (EDSR(3, 8, 2, 0.1), "EDSR", {"num_feat": 8, "num_block": 2, "res_scale": 0.1}),
        (EDSR(2, 8, 2), "EDSR", {"num_feat": 8, "num_block": 2}),
        (Compact(4, 8, 2), "SRVGGNetCompact", {"num_feat": 8, "num_conv": 2}),
    ],
    ids=lambda value: f"{type(value).__name__}x{value.scale}" if hasattr(value, "scale") else None,
)
def test_our_networks_compute_what_theirs_do(
    ours: nn.Module, arch: str, options: dict[str, Any]
) -> None:
    with torch.no_grad():
        for parameter in ours.parameters():  # biases, too, and none that only began small
            parameter.add_(0.02 * torch.randn_like(parameter))
    scale = ours.scale
    assert isinstance(scale, int)
    theirs = networks_of_basicsr()[arch](
        **{"num_in_ch": 3, "num_out_ch": 3, **options},
        **{"scale" if arch == "RRDBNet" else "upscale": scale},
    )
    theirs.load_state_dict(ours.state_dict(), strict=True)
    lr = torch.rand(2, 3, 8, 12)
    with torch.no_grad():
        expected, found = theirs.eval()(lr), ours.eval()(lr)
    assert expected.std() > 0.01
    assert (found - expected).abs().max() < 1e-5
