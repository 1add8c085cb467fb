import pytest
import torch
from torch import nn

from sr.optim.ema import Ema


def test_mean_follows_the_formula_once_the_warm_up_is_over() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    ema = Ema(network, decay=0.9)
    nn.init.constant_(network.weight, 1.0)
    ema.update(network, num_updates=1000)
    ema.update(network, num_updates=1001)
    weight = next(ema.network.parameters())
    assert weight.item() == pytest.approx(1 - 0.9**2)


def test_the_first_updates_forget_the_initial_weights() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    ema = Ema(network, decay=0.999)
    nn.init.constant_(network.weight, 1.0)
    ema.update(network, num_updates=0)
    assert next(ema.network.parameters()).item() == pytest.approx(0.9)


def test_no_decay_gives_the_weights_themselves_and_buffers_are_copied() -> None:
    network = nn.BatchNorm2d(2)
    ema = Ema(network, decay=0)
    network(torch.randn(3, 2, 4, 4))
    nn.init.constant_(network.weight, 5.0)
    ema.update(network, num_updates=100)
    for name, value in ema.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def test_the_mean_is_in_eval_mode_and_needs_no_gradient() -> None:
    ema = Ema(nn.BatchNorm2d(2), decay=0.9)
    assert not ema.network.training
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())
