from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sr.networks.compact import Compact
from sr.optim.ema import Ema
from sr.optim.muon import Muon, orthogonalize, split_parameters


def make(network: nn.Module, learning_rate: float = 0.1) -> Muon:
    inner, rest = split_parameters(network)
    return Muon(inner, rest, learning_rate, 0.9, 1e-2, (0.9, 0.99))


@pytest.mark.parametrize("shape", [(2, 8, 30), (1, 30, 8), (3, 8, 8)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
    assert values.max() < 1.3
    assert values.min() > 0.3


def test_orthogonalized_matrices_do_not_depend_on_the_length_of_the_gradient() -> None:
    matrix = torch.randn(1, 4, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalize(matrix), orthogonalize(1e-3 * matrix))


def test_inner_weights_are_the_convolutions_between_first_and_last() -> None:
    network = Compact(2, num_features=4, num_convs=3)
    inner, rest = split_parameters(network)
    assert [weight.shape for weight in inner] == [(4, 4, 3, 3)] * 3
    assert len(inner) + len(rest) == len(list(network.parameters()))


def test_the_rest_is_updated_as_by_torch_adamw() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    first = Muon([], list(ours.parameters()), 0.1, 0.9, 1e-2, (0.9, 0.99))
    second = torch.optim.AdamW(theirs.parameters(), 1e-2, (0.9, 0.99), weight_decay=0)
    for _ in range(3):
        x = torch.randn(4, 3)
        for network, optimizer in ((ours, first), (theirs, second)):
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_a_step_lowers_the_loss_of_every_kind_of_parameter() -> None:
    torch.manual_seed(0)
    network = Compact(2, num_features=4, num_convs=2)
    optimizer = make(network, learning_rate=0.01)
    lr, hr = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16)
    losses = []
    for _ in range(20):
        loss = (network(lr) - hr).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        before = [parameter.clone() for parameter in network.parameters()]
        optimizer.step()
        losses.append(loss.item())
        assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert losses[-1] < losses[0]


def test_parameters_without_gradient_stay() -> None:
    network = Compact(2, num_features=4, num_convs=2)
    before = [parameter.clone() for parameter in network.parameters()]
    make(network).step()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


class CountOperations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        views = ("view", "transpose", "permute", "unbind", "detach", "select")
        self.count += not func.__name__.startswith(views)
        return func(*args, **(kwargs or {}))


def test_the_work_of_a_step_is_done_for_all_weights_at_once() -> None:
    counts = []
    for num_convs in (2, 7):
        network = Compact(2, num_features=4, num_convs=num_convs)
        optimizer, ema = make(network), Ema(network, 0.9)
        network(torch.rand(1, 3, 8, 8)).mean().backward()
        optimizer.step()  # makes its state
        with CountOperations() as operations:
            optimizer.step()
            ema.update(network, 1)
        counts.append(operations.count)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_inner_weight_is_updated_as_by_the_formula(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(8, 4, 3, 3).to(memory_format=layout)) for _ in range(3)]
    expected = [weight.detach().clone() for weight in weights]
    means = [torch.zeros(8, 4, 3, 3) for _ in weights]
    optimizer = Muon(weights, [], 0.1, 0.9, 1e-2, (0.9, 0.99))
    for _ in range(2):
        for index, weight in enumerate(weights):
            gradient = torch.randn_like(weight)
            weight.grad = gradient
            means[index] = means[index].lerp(gradient, 0.1)
            momentum: Tensor = gradient.lerp(means[index], 0.9)
            update = orthogonalize(momentum.reshape(1, 8, 36)).reshape(8, 4, 3, 3)
            expected[index] -= 0.1 * update  # 8 rows, 36 columns: a factor of 1
        optimizer.step()
    for weight, value in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach(), value)
        assert weight.is_contiguous(memory_format=layout)
