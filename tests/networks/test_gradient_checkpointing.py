"""Training with and without activations computed again in the backward pass."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from sr.networks.compact import Compact
from sr.networks.dbpn import DBPN
from sr.networks.edsr import EDSR
from sr.networks.gradient_checkpointing import checkpoint_blocks
from sr.networks.iseebetter_srresnet import ISeeBetterSRResNet
from sr.networks.msrresnet import MSRResNet
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import SPAN
from sr.networks.srresnet import SRResNet
from sr.options.generator import WITH_BLOCKS

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "SRResNet": (lambda: SRResNet(2, 4, num_blocks=2), 2),
    "MSRResNet": (lambda: MSRResNet(2, 4, num_blocks=2), 2),
    "EDSR": (lambda: EDSR(2, 4, num_blocks=2), 2),
    "RRDBNet": (lambda: RRDBNet(2, 4, 2, num_growth=2), 2),
    "SPAN": (lambda: SPAN(2, 4, num_blocks=2), 2),
    "RLFN": (lambda: RLFN(2, 4, num_blocks=2), 2),
    "DBPN": (lambda: DBPN(2, 4, 4, num_stages=2), 3),
    "RBPN": (lambda: PackedWindow(RBPN(2, 4, 4, 2, num_res_blocks=1, num_frames=3)), 6),
    "ISeeBetterSRResNet": (lambda: ISeeBetterSRResNet(2, 4), 5),
}


def step(network: nn.Module, lr: Tensor) -> Tensor:
    sr: Tensor = network(lr)
    loss: Tensor = (sr - 0.5).square().mean()
    loss.backward()
    return sr.detach()


def test_every_generator_that_the_options_allow_has_blocks() -> None:
    assert tuple(NETWORKS) == WITH_BLOCKS
    assert checkpoint_blocks(Compact(2, 4, num_convs=2)) == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_and_statistics_are_the_same(name: str) -> None:
    torch.manual_seed(0)
    build, num_blocks = NETWORKS[name]
    plain = build()
    network = deepcopy(plain)
    assert checkpoint_blocks(network) == num_blocks
    lr = torch.rand(2, network.num_channels if isinstance(network, PackedWindow) else 3, 12, 12)
    for _ in range(2):  # gradients add up, statistics go on
        torch.testing.assert_close(step(network, lr), step(plain, lr))
    ours, theirs = dict(network.named_parameters()), dict(plain.named_parameters())
    for parameter_name, parameter in ours.items():
        torch.testing.assert_close(parameter.grad, theirs[parameter_name].grad)
    torch.testing.assert_close(network.state_dict(), plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(lr), plain.eval()(lr))


def test_blocks_compute_again_in_the_backward_pass_alone() -> None:
    network = RRDBNet(2, 4, 2, num_growth=2)
    checkpoint_blocks(network)
    calls: list[int] = []
    network.get_submodule("body.0.rdb1.conv1").register_forward_hook(lambda *_: calls.append(1))
    sr = network(torch.rand(1, 3, 8, 8))
    assert len(calls) == 1
    sr.mean().backward()
    assert len(calls) == 2
    with torch.no_grad():
        network(torch.rand(1, 3, 8, 8))
    assert len(calls) == 3
