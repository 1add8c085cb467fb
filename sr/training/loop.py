"""The training loop: one straight story from the first step to the last."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from accelerate import Accelerator
from torch import Tensor

from sr.losses.combined import CombinedLoss
from sr.losses.discriminator import DiscriminatorLoss
from sr.training.health import Health
from sr.training.logging import RunLog
from sr.training.steps import (
    Batch,
    Trained,
    Update,
    discriminator_step,
    frozen,
    generator_step,
    set_learning_rates,
)
from sr.training.trainee import Trainee

ADVERSARIAL = "adversarial"  # name of the loss term that the discriminator decides


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of one optimizer over the run."""

    base: Sequence[float]  # of the parameter groups
    factor: Callable[[int], float]  # of a step, counted from 1


@dataclass(frozen=True)
class Plan:
    """Numbers of the loop, in steps where not said otherwise."""

    steps: int
    accumulation: int  # batches of one update
    max_nonfinite_steps: int
    validate_interval: int
    checkpoint_interval: int


@dataclass(frozen=True)
class Adversary:
    """The discriminator, how it learns and when it counts; see the options of the same names."""

    trained: Trained
    loss: DiscriminatorLoss
    learning_rates: LearningRates
    health: Health
    start_step: int
    lead_steps: int
    interval: int
    updates: int

    def learns(self, step: int) -> bool:
        """Whether the discriminator is trained in this step."""
        due = step >= self.start_step and (step - self.start_step) % self.interval == 0
        return due and not self.health.pauses(step)

    def factor(self, step: int) -> float:
        """Factor of the adversarial weight in this step."""
        counts = step >= self.start_step + self.lead_steps
        return self.health.weight_factor if counts else 0.0


@dataclass(frozen=True)
class Training:
    """All that the loop works with."""

    trainee: Trainee
    generator: Trained
    loss: CombinedLoss
    learning_rates: LearningRates
    adversary: Adversary | None
    plan: Plan
    accelerator: Accelerator
    log: RunLog

    @property
    def batches_a_step(self) -> int:
        """Batches that every step draws, whether or not the discriminator learns in it."""
        updates = 1 if self.adversary is None else self.adversary.updates
        return self.plan.accumulation * updates


class NonFiniteStepError(ArithmeticError):
    """Losses or gradients that are not finite, with step, terms and the pictures of the batch."""


def run_loop(
    training: Training,
    batches: Iterator[Batch],
    validate: Callable[[], None],
    save: Callable[[], None],
    interrupted: Callable[[], bool],
) -> bool:
    """Train from the trainee's step to the last step, or until interrupted.

    validate, save: called with the trainee up to date. Returns whether the last step was reached;
    either way the state is saved. Raises NonFiniteStepError, or UnhealthyError where the options
    ask for it, with the state of the last checkpoint on disk.
    """
    trainee, plan, log = training.trainee, training.plan, training.log
    training.generator.network.train()
    while trainee.step < plan.steps and not interrupted():
        step = trainee.step + 1
        try:
            drawn = list(islice(batches, training.batches_a_step))
        except RuntimeError:
            if interrupted():  # the signal that asks to stop has ended the workers, too
                break
            raise
        updates, pictures = train_step(training, drawn, step)
        if updates["generator"].finite:
            trainee.ema.update(trainee.generator, num_updates=trainee.step)
        trainee.step = step
        _heed_nonfinite(training, updates, drawn)
        if training.adversary is not None:
            measured = _measure(updates, drawn, pictures)
            for alarm in training.adversary.health.observe(step, measured):
                log.warn(step, alarm)
        log.step(step, _fields(training, updates, step))
        last = step == plan.steps
        if step % plan.validate_interval == 0 or last:
            validate()
            log.skip_time(step)
        if step % plan.checkpoint_interval == 0 or last:
            save()
            log.skip_time(step)
    finished = trainee.step >= plan.steps
    if not finished:
        save()
    return finished


def train_step(
    training: Training, drawn: Sequence[Batch], step: int
) -> tuple[dict[str, Update], list[Tensor]]:
    """One update of the generator, and those of the discriminator that are due.

    Returns them by name, and the pictures that the generator made of the first batches.
    """
    generator, accelerator, adversary = (
        training.generator,
        training.accelerator,
        training.adversary,
    )
    own = drawn[: training.plan.accumulation]
    set_learning_rates(
        generator.optimizer, training.learning_rates.base, training.learning_rates.factor(step)
    )
    if adversary is None:
        update, pictures = generator_step(generator, training.loss, own, {}, accelerator)
        return {"generator": update}, pictures
    factors = {ADVERSARIAL: adversary.factor(step)}
    with frozen(adversary.trained.network):
        update, pictures = generator_step(generator, training.loss, own, factors, accelerator)
    updates = {"generator": update}
    if adversary.learns(step):
        rates = adversary.learning_rates
        set_learning_rates(adversary.trained.optimizer, rates.base, rates.factor(step))
        for first in range(0, len(drawn), len(own)):
            batches = drawn[first : first + len(own)]
            seen = pictures if first == 0 else _predict(generator, batches, accelerator)
            updates["discriminator"] = discriminator_step(
                adversary.trained, adversary.loss, batches, seen, step, accelerator
            )
    return updates, pictures


def _predict(
    generator: Trained, batches: Sequence[Batch], accelerator: Accelerator
) -> list[Tensor]:
    with torch.no_grad(), accelerator.autocast():
        return [generator.network(batch.lr).float() for batch in batches]


def _heed_nonfinite(training: Training, updates: dict[str, Update], drawn: Sequence[Batch]) -> None:
    """Tell of a skipped update; raise NonFiniteStepError at the last of too many in a row."""
    trainee = training.trainee
    broken = {name: update for name, update in updates.items() if not update.finite}
    if not broken:
        trainee.nonfinite_in_row = 0
        return
    trainee.nonfinite_in_row += 1
    named = "; ".join(
        f"{name}: loss {update.loss:g}, norm of the gradient {update.gradient_norm:g} (terms: "
        + ", ".join(f"{term} {value:g}" for term, value in update.terms.items())
        + ")"
        for name, update in broken.items()
    )
    pictures = ", ".join(name for batch in drawn for name in batch.names)
    message = f"not finite, skipped; {named}; pictures: {pictures}"
    training.log.warn(trainee.step, message)
    if trainee.nonfinite_in_row >= training.plan.max_nonfinite_steps:
        raise NonFiniteStepError(
            f"step {trainee.step}: {trainee.nonfinite_in_row} steps in a row were not finite; the "
            f"last: {named}; pictures: {pictures}"
        )


def _measure(
    updates: dict[str, Update], drawn: Sequence[Batch], pictures: Sequence[Tensor]
) -> dict[str, float]:
    """What the watch over the networks is told of a step."""
    finite = all(update.finite for update in updates.values())
    if not finite:
        return {"nonfinite": 1.0}
    # The mean of sr equals that of sr downscaled to lr's size.
    means = [
        sr.mean((0, 2, 3)) - batch.lr.mean((0, 2, 3))
        for batch, sr in zip(drawn[: len(pictures)], pictures, strict=True)
    ]
    drift = torch.stack(means).mean(0).tolist()
    measured = {"nonfinite": 0.0}
    measured |= dict(zip(("drift_red", "drift_green", "drift_blue"), drift, strict=True))
    if "discriminator" in updates:
        terms = updates["discriminator"].terms
        measured |= {name: terms[name] for name in ("d_real", "d_sr")}
    return measured


def _fields(training: Training, updates: dict[str, Update], step: int) -> dict[str, float]:
    """Numbers of a step for the logs, by name."""
    update, adversary = updates["generator"], training.adversary
    factors = {} if adversary is None else {ADVERSARIAL: adversary.factor(step)}
    weights = training.loss.weights(factors)
    rates = training.learning_rates
    fields = {
        "loss": update.loss,
        **{f"loss_{name}": value for name, value in update.terms.items()},
        **{f"weighted_{name}": weights[name] * value for name, value in update.terms.items()},
        "learning_rate": rates.factor(step) * rates.base[0],
        "gradient_norm": update.gradient_norm,
    }
    if adversary is not None:
        judged = updates.get("discriminator")
        if judged is not None:
            fields["discriminator_loss"] = judged.loss
            fields["discriminator_gradient_norm"] = judged.gradient_norm
            if "r1" in judged.terms:
                fields["loss_r1"] = judged.terms["r1"]
        rates = adversary.learning_rates
        fields["discriminator_learning_rate"] = rates.factor(step) * rates.base[0]
        fields |= {f"health_{name}": value for name, value in adversary.health.summary().items()}
    return fields
