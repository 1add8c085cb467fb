import copy
from typing import Any

import pytest
import torch
from torch import nn

from sr.build_training import build_optimizer, build_schedule
from sr.errors import UserError
from sr.optim import library_optimizers
from sr.optim.ema import Ema
from sr.optim.library_optimizers import use_averaged_weights
from sr.options.optimizers import (
    AdanOptions,
    ConstantOptions,
    OptimizerOptions,
    ProdigyOptions,
    ScheduleFreeOptions,
    SOAPOptions,
)
from sr.options.train import TrainOptions
from sr.training.state import NetworkState, TrainState

OPTIONS: list[OptimizerOptions] = [
    AdanOptions(type="Adan", learning_rate=0.01),
    ScheduleFreeOptions(type="ScheduleFreeAdamW", learning_rate=0.01),
    SOAPOptions(type="SOAP", learning_rate=0.01, precondition_interval=2),
    ProdigyOptions(type="Prodigy", initial_distance=1e-3),
]
each_optimizer = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.type)


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Conv2d(4, 3, 3))


def make_state(options: OptimizerOptions) -> NetworkState:
    pytest.importorskip("pytorch_optimizer")
    network = make_network()
    return NetworkState(network, build_optimizer(options, network))


def measure(network: nn.Module) -> torch.Tensor:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    error: torch.Tensor = ((network(images) - images[..., 2:-2, 2:-2]) ** 2).mean()
    return error


def train(state: NetworkState, first: int, last: int) -> None:
    for step in range(first, last + 1):
        state.set_learning_rates(step)
        state.optimizer.zero_grad()
        measure(state.network).backward()
        state.optimizer.step()


@each_optimizer
def test_it_lowers_the_loss(options: OptimizerOptions) -> None:
    state = make_state(options)
    before = measure(state.network).item()
    train(state, 1, 60)
    assert measure(state.network).item() < 0.5 * before


@each_optimizer
def test_a_loaded_state_goes_on_as_the_saved_one(options: OptimizerOptions) -> None:
    whole = make_state(options)
    train(whole, 1, 5)
    weights = {name: value.clone() for name, value in whole.network.state_dict().items()}
    other = make_state(options)
    other.load(weights, copy.deepcopy(whole.optimizer.state_dict()))
    train(whole, 6, 12)
    train(other, 6, 12)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name
    assert whole.learning_rate(13) == other.learning_rate(13)


@each_optimizer
def test_another_learning_rate_counts_after_loading(options: OptimizerOptions) -> None:
    first = make_state(options)
    train(first, 1, 2)
    second = make_state(options.model_copy(update={"learning_rate": 0.5}))
    second.load(first.network.state_dict(), first.optimizer.state_dict())
    assert second.optimizer.param_groups[0]["lr"] == 0.5


def test_prodigys_learning_rate_is_the_estimate() -> None:
    state = make_state(ProdigyOptions(type="Prodigy"))
    assert state.learning_rate(1) == 1e-6
    train(state, 1, 40)
    assert state.learning_rate(41) > 1e-5


def mean_of_weights(state: NetworkState) -> list[torch.Tensor]:
    """x of the paper, by its definition from y, which the network has, and z."""
    optimizer, found = state.optimizer, []
    for weight in state.network.parameters():
        z, beta = optimizer.state[weight]["z"], optimizer.param_groups[0]["betas"][0]
        found.append((weight.detach() - (1 - beta) * z) / beta)
    return found


def test_schedule_free_means_are_averaged_and_training_goes_on_with_other_weights() -> None:
    generator = make_state(OPTIONS[1])
    state = TrainState(generator=generator, ema=Ema(generator.network, 0))
    train(generator, 1, 10)
    before = [weight.detach().clone() for weight in generator.network.parameters()]
    state.update_ema()
    means = list(state.ema.network.parameters())
    for weight, kept in zip(generator.network.parameters(), before, strict=True):
        assert torch.equal(weight, kept)
    for mean, expected in zip(means, mean_of_weights(generator), strict=True):
        torch.testing.assert_close(mean.detach(), expected, rtol=1e-4, atol=1e-5)
    assert not any(torch.equal(mean, weight) for mean, weight in zip(means, before, strict=True))
    assert generator.optimizer.param_groups[0]["train_mode"]


def test_other_optimizers_have_the_weights_that_they_train() -> None:
    network = make_network()
    optimizer = torch.optim.Adam(network.parameters())
    before = [weight.detach().clone() for weight in network.parameters()]
    with use_averaged_weights(optimizer, list(network.parameters())):
        pairs = zip(network.parameters(), before, strict=True)
        assert all(torch.equal(weight, kept) for weight, kept in pairs)


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(library_optimizers, "import_module", fail)
    with pytest.raises(UserError, match=r"optimizer Adan: .* pip install .*pytorch_optimizer"):
        build_optimizer(AdanOptions(type="Adan"), make_network())


def test_a_constant_schedule_only_warms_up() -> None:
    factor = build_schedule(ConstantOptions(type="constant", warmup_steps=2), 10)
    assert [factor(step) for step in (1, 2, 3, 10)] == [0.5, 1, 1, 1]


FREE = {"type": "ScheduleFreeAdamW"}
CONSTANT, COSINE = {"type": "constant"}, {"type": "cosine"}
ADAM = {"type": "Adam"}


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"optimizer": FREE, "schedule": COSINE}, "schedule"),
        ({"optimizer": ADAM, "schedule": COSINE, "gan": {"optimizer": FREE}}, "schedule"),
        (
            {
                "optimizer": FREE,
                "schedule": CONSTANT,
                "gan": {"optimizer": FREE, "schedule": COSINE},
            },
            r"gan\.schedule",
        ),
    ],
)
def test_schedule_free_takes_a_constant_schedule_alone(keys: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"{key}: expected constant for ScheduleFreeAdamW"):
        TrainOptions.model_validate({"steps": 10, **keys})


def test_a_schedule_free_discriminator_may_have_a_schedule_of_its_own() -> None:
    gan = {"optimizer": FREE, "schedule": CONSTANT}
    TrainOptions.model_validate({"steps": 10, "optimizer": ADAM, "schedule": COSINE, "gan": gan})
