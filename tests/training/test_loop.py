"""The loop on networks and batches made here: what is skipped, what stops it, what it draws."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sr.losses.adversarial import AdversarialTerm
from sr.losses.combined import CombinedLoss, Term, WeightedTerm
from sr.losses.discriminator import DiscriminatorLoss
from sr.losses.pixel import l1
from sr.networks.patchgan import PatchGAN
from sr.networks.srresnet import SRResNet
from sr.optim.ema import Ema
from sr.training.distributed import make_accelerator
from sr.training.gan_monitor import GANMonitor
from sr.training.logging import RunLog
from sr.training.loop import NonFiniteStepError, run_loop
from sr.training.state import GANState, NetworkState, TrainState
from sr.training.steps import Batch

LIMITS: dict[str, Any] = {
    "window": 100,
    "max_margin": 100.0,
    "max_color_drift": 1.0,
    "max_nonfinite_share": 1.0,
    "action": "warn",
    "lower_factor": 0.5,
}


def make_state(gan: GANState | None = None) -> TrainState:
    torch.manual_seed(0)
    network = SRResNet(2, 4, 1)
    generator = NetworkState(network, torch.optim.SGD(network.parameters(), lr=0.1))
    return TrainState(generator, Ema(network, 0.9), gan)


def make_batches() -> Iterator[Batch]:
    for number in count(1):
        random = torch.Generator().manual_seed(number)
        lr, hr = (torch.rand(2, 3, side, side, generator=random) for side in (8, 16))
        yield Batch((lr,), hr, [f"image {number}"])


def run(
    state: TrainState,
    term: Term,
    log: RunLog | None = None,
    loader: Iterator[Batch] | None = None,
    save: Callable[[], None] = lambda: None,
    interrupted: Callable[[], bool] = lambda: False,
    max_nonfinite_steps: int = 3,
    accelerator: Accelerator | None = None,
) -> bool:
    terms = {"l1": WeightedTerm(term, 1.0)}
    if state.gan is not None:
        network = state.gan.discriminator.network
        terms["adversarial"] = WeightedTerm(AdversarialTerm("standard", network), 0.1)
    return run_loop(
        state,
        CombinedLoss(terms),
        make_batches() if loader is None else loader,
        accelerator or make_accelerator(torch.device("cpu"), torch.float32),
        RunLog(None, 6, 1, 1) if log is None else log,
        steps=6,
        batches_per_step=1 if state.gan is None else state.gan.updates,
        batch_size=2,
        seed=0,
        max_nonfinite_steps=max_nonfinite_steps,
        validate_interval=6,
        checkpoint_interval=1,
        validate=lambda: True,
        save=save,
        interrupted=interrupted,
    )


def break_l1(*steps: int) -> Term:
    """L1 that is NaN in these steps."""
    calls = count(1)

    def term(sr: Tensor, hr: Tensor) -> Tensor:
        return l1(sr, hr) * (float("nan") if next(calls) in steps else 1.0)

    return term


def weights_of(state: TrainState) -> list[Tensor]:
    networks = (state.generator.network, state.ema.network)
    return [value.clone() for network in networks for value in network.state_dict().values()]


def test_a_step_that_is_not_finite_is_skipped_and_the_run_goes_on(tmp_path: Path) -> None:
    state, saved = make_state(), []
    with RunLog(tmp_path, 6, 1, 1) as log:
        assert run(state, break_l1(3, 4), log, save=lambda: saved.append(weights_of(state)))
    for before, after, equal in ((2, 3, True), (3, 4, True), (4, 5, False)):
        pairs = zip(saved[before - 1], saved[after - 1], strict=True)
        assert all(torch.equal(one, other) for one, other in pairs) is equal
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    warnings = [event for event in events if event["event"] == "warning"]
    assert [event["step"] for event in warnings] == [3, 4]
    assert "l1 nan" in warnings[0]["message"]
    assert "images: image 3" in warnings[0]["message"]


def test_losses_that_are_not_finite_stop_with_step_terms_and_images() -> None:
    state = make_state()
    with pytest.raises(NonFiniteStepError, match=r"step 4: 1 in a row .*l1 nan.*images: image 4"):
        run(state, break_l1(4), max_nonfinite_steps=1)
    assert all(weight.isfinite().all() for weight in weights_of(state))


def test_a_gradient_that_is_not_finite_stops_also_without_clipping() -> None:
    def finite_with_infinite_slope(sr: Tensor, hr: Tensor) -> Tensor:
        return (sr - sr.detach()).sum().square().sqrt() + l1(sr, hr)

    with pytest.raises(NonFiniteStepError, match=r"step 1: .*norm of the gradient nan"):
        run(make_state(), finite_with_infinite_slope, max_nonfinite_steps=1)


def test_statistics_of_batches_survive_a_step_that_is_not_finite() -> None:
    def with_an_infinite_pixel() -> Iterator[Batch]:
        for number, batch in enumerate(make_batches(), start=1):
            batch.lr[0, 0, 0, 0] = float("inf") if number == 3 else 0.0
            yield batch

    state = make_state()
    assert run(state, l1, loader=with_an_infinite_pixel())
    assert state.nonfinite_in_row == {"generator": 0}
    assert all(value.isfinite().all() for value in weights_of(state))


@pytest.mark.parametrize("timing", [{}, {"updates": 3}, {"interval": 2}])
def test_a_discriminator_that_is_never_finite_ends_the_run(timing: dict[str, int]) -> None:
    class NeverFinite(DiscriminatorLoss):
        def __call__(self, *arguments: Any) -> tuple[Tensor, dict[str, Tensor]]:
            total, terms = super().__call__(*arguments)
            return total * float("nan"), terms

    network = PatchGAN(num_features=4, num_layers=1)
    discriminator = NetworkState(network, torch.optim.SGD(network.parameters(), lr=0.1))
    gan = GANState(discriminator, NeverFinite("standard"), GANMonitor(**LIMITS), **timing)
    with pytest.raises(NonFiniteStepError, match=r"2 in a row were not finite.*discriminator:"):
        run(make_state(gan), l1, max_nonfinite_steps=2)


def test_every_batch_is_trained_on_in_order() -> None:
    seen: list[Tensor] = []

    def watch(sr: Tensor, hr: Tensor) -> Tensor:
        seen.append(hr)
        return l1(sr, hr)

    run(make_state(), watch)
    assert len(seen) == 6
    for hr, batch in zip(seen, make_batches(), strict=False):
        assert torch.equal(hr, batch.hr)


@pytest.mark.parametrize("stops", [True, False])
def test_workers_that_end_at_the_signal_end_the_run_and_others_are_a_fault(stops: bool) -> None:
    asked = count(1)

    def end_after_two() -> Iterator[Batch]:
        batches = make_batches()
        yield next(batches)
        yield next(batches)
        raise RuntimeError("DataLoader worker exited unexpectedly")

    state, saved = make_state(), []
    arguments: dict[str, Any] = {
        "loader": end_after_two(),
        "save": lambda: saved.append(state.step),
        "interrupted": lambda: stops and next(asked) > 3,  # after the question before step 3
    }
    if stops:
        assert not run(state, l1, **arguments)
        assert saved == [1, 2, 2]
    else:
        with pytest.raises(RuntimeError, match="exited unexpectedly"):
            run(state, l1, **arguments)


class CountWaits(TorchDispatchMode):
    """Counts how often numbers are read, for which the CPU would wait for a GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.count = 0
        to_list = Tensor.tolist

        def count(tensor: Tensor) -> Any:  # which is no operation, as item is
            self.count += 1
            return to_list(tensor)

        monkeypatch.setattr(Tensor, "tolist", count)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("adversarial", [False, True])
def test_a_step_waits_for_the_device_once_for_each_network(
    adversarial: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gan = None
    if adversarial:
        network = PatchGAN(num_features=4, num_layers=1)
        discriminator = NetworkState(network, torch.optim.SGD(network.parameters(), lr=0.1))
        gan = GANState(discriminator, DiscriminatorLoss("standard"), GANMonitor(**LIMITS))
    state = make_state(gan)
    with CountWaits(monkeypatch) as waits:
        assert run(state, l1)
    assert waits.count == 6 * (2 if adversarial else 1)


def test_what_networks_draw_in_a_step_is_the_same_in_a_resumed_run() -> None:
    def train_from(step: int) -> list[Tensor]:
        drawn: list[Tensor] = []

        def term(sr: Tensor, hr: Tensor) -> Tensor:
            drawn.append(torch.rand(()))
            return l1(sr, hr)

        state = make_state()
        state.step = step
        assert run(state, term)
        assert state.draws == 2 * (6 - step)
        return drawn

    whole, rest = train_from(0), train_from(3)
    assert whole[3:] == rest
    assert len({float(value) for value in whole}) == 6


class FP16Scaler(torch.amp.GradScaler):
    """On the CPU as on a GPU: the gradients overflow above `limit`."""

    def __init__(self, scale: float, limit: float) -> None:
        super().__init__("cpu", init_scale=scale)
        self.limit = limit

    def scale(self, outputs: Any) -> Any:
        above = self.get_scale() > self.limit
        return super().scale(outputs) * (float("inf") if above else 1.0)


@pytest.mark.parametrize(("scale", "limit"), [(2.0**16, 2.0**12), (1.0, 0.5)])
def test_overflows_by_which_fp16_finds_its_scale_do_not_end_a_run(
    scale: float, limit: float, tmp_path: Path
) -> None:
    accelerator = make_accelerator(torch.device("cpu"), torch.float32)
    accelerator.scaler = FP16Scaler(scale, limit)
    state = make_state()
    optimizer = accelerator.prepare_optimizer(state.generator.optimizer)
    state.generator.optimizer = optimizer

    def unscale(optimizer: Any) -> None:
        accelerator.scaler.unscale_(optimizer.optimizer)

    accelerator.unscale_gradients = unscale
    with RunLog(tmp_path, 6, 1, 1) as log:
        if scale <= 1:  # what is left is no overflow of fp16
            with pytest.raises(NonFiniteStepError, match="step 1: 1 in a row"):
                run(state, l1, log, accelerator=accelerator, max_nonfinite_steps=1)
            return
        assert run(state, l1, log, accelerator=accelerator, max_nonfinite_steps=1)
    assert accelerator.scaler.get_scale() == limit
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "warning"] == [1, 2, 3, 4]
