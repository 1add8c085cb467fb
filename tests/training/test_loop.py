"""The loop on networks and batches made here: what is skipped, what stops it, what it draws."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

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
) -> bool:
    terms = {"l1": WeightedTerm(term, 1.0)}
    if state.gan is not None:
        network = state.gan.discriminator.network
        terms["adversarial"] = WeightedTerm(AdversarialTerm("standard", network), 0.1)
    return run_loop(
        state,
        CombinedLoss(terms),
        make_batches() if loader is None else loader,
        make_accelerator(torch.device("cpu"), torch.float32),
        RunLog(None, 6, 1, 1) if log is None else log,
        steps=6,
        batches_per_step=1 if state.gan is None else state.gan.updates,
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
