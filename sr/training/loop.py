"""The training loop: one straight story from the first step to the last."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from sr.training.distributed import any_process, mean_over_processes
from sr.training.gan_monitor import GANDivergedError
from sr.training.parts import ADVERSARIAL, Adversary, Training
from sr.training.step_metrics import fields_of, health_of, measure
from sr.training.steps import (
    Batch,
    Trained,
    Update,
    discriminator_step,
    frozen,
    generator_step,
    restore_buffers,
    set_learning_rates,
    snapshot_of_buffers,
)


class NonFiniteStepError(ArithmeticError):
    """Losses or gradients that are not finite, with step, terms and the images of the batch."""


def run_loop(
    training: Training,
    batches: Iterator[Batch],
    validate: Callable[[], None],
    save: Callable[[], None],
    interrupted: Callable[[], bool],
) -> bool:
    """Train from the trainee's step to the last step, or until interrupted.

    validate, save: called with the trainee up to date. interrupted: asked in each process, heeded
    if any of them is. Returns whether the last step was reached; either way the state is saved.
    Raises NonFiniteStepError, or GANDivergedError where the options ask for it, with the state
    of the last checkpoint on disk.
    """
    trainee, plan, log = training.trainee, training.plan, training.log
    training.generator.network.train()
    while trainee.step < plan.steps and not any_process(interrupted(), training.accelerator):
        step = trainee.step + 1
        try:
            drawn = list(islice(batches, training.batches_a_step))
        except RuntimeError:
            # The signal that asks to stop has ended the workers, too. Of several processes the
            # others may be waiting for this one's gradients; only an error ends them all.
            if training.accelerator.num_processes == 1 and interrupted():
                break
            raise
        updates, images = train_step(training, drawn, step)
        if updates["generator"].finite:
            trainee.ema.update(trainee.generator, num_updates=trainee.step)
        trainee.step = step
        _heed_nonfinite(training, updates, drawn)
        fields = fields_of(training, updates, step)  # with the weights of this step
        alarms = _observe(training, updates, drawn, images)
        log.step(step, fields | health_of(training))
        _heed_alarms(training, alarms)
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

    Returns them by name, and the images that the generator made of the first batches.
    """
    generator, adversary = training.generator, training.adversary
    accelerator = training.accelerator
    networks = [generator.network]
    if adversary is not None:
        networks.append(adversary.trained.network)
    buffers = snapshot_of_buffers(networks)
    own = drawn[: training.plan.accumulation]
    set_learning_rates(
        generator.optimizer, training.learning_rates.base, training.learning_rates.factor(step)
    )
    if adversary is None:
        update, images = generator_step(generator, training.loss, own, {}, accelerator)
        updates = {"generator": update}
    else:
        factors = {ADVERSARIAL: adversary.factor(step)}
        with frozen(adversary.trained.network):
            update, images = generator_step(generator, training.loss, own, factors, accelerator)
        updates = {"generator": update}
        if adversary.learns(step):
            updates["discriminator"] = _train_discriminator(
                adversary, generator, drawn, images, step, accelerator
            )
    if not all(update.finite for update in updates.values()):
        restore_buffers(buffers)  # what was infinite is in the statistics of batches, too
    return updates, images


def _train_discriminator(
    adversary: Adversary,
    generator: Trained,
    drawn: Sequence[Batch],
    images: Sequence[Tensor],
    step: int,
    accelerator: Accelerator,
) -> Update:
    """All updates of a step: on the first batches with their images, then on the others.

    Returns the last one, or the last that was not finite.
    """
    rates = adversary.learning_rates
    set_learning_rates(adversary.trained.optimizer, rates.base, rates.factor(step))
    number = adversary.number(step)
    size, updates = len(images), []
    for first in range(0, len(drawn), size):
        batches = drawn[first : first + size]
        seen = images if first == 0 else _predict(generator, batches, accelerator)
        updates.append(
            discriminator_step(
                adversary.trained, adversary.loss, batches, seen, number, accelerator
            )
        )
    return next((update for update in reversed(updates) if not update.finite), updates[-1])


def _predict(
    generator: Trained, batches: Sequence[Batch], accelerator: Accelerator
) -> list[Tensor]:
    with torch.no_grad(), accelerator.autocast():
        return [generator.network(*batch.inputs).float() for batch in batches]


def _heed_nonfinite(training: Training, updates: dict[str, Update], drawn: Sequence[Batch]) -> None:
    """Tell of a skipped update; raise NonFiniteStepError at the last of too many in a row.

    All processes come here together, since an update is finite for all or for none.
    """
    trainee, accelerator = training.trainee, training.accelerator
    for name, update in updates.items():
        in_row = 0 if update.finite else trainee.nonfinite_in_row.get(name, 0) + 1
        trainee.nonfinite_in_row[name] = in_row
    broken = {name: update for name, update in updates.items() if not update.finite}
    if not broken:
        return
    named = "; ".join(
        f"{name}: loss {update.loss:g}, norm of the gradient {update.gradient_norm:g} (terms: "
        + ", ".join(f"{term} {value:g}" for term, value in update.terms.items())
        + ")"
        for name, update in broken.items()
    )
    images = ", ".join(name for batch in drawn for name in batch.names)
    told = [f"{named}; images: {images}"]
    if accelerator.num_processes > 1:
        told = gather_object(told)
    message = " | ".join(told)
    training.log.warn(trainee.step, f"not finite, skipped; {message}")
    longest = max(trainee.nonfinite_in_row.values())
    if longest >= training.plan.max_nonfinite_steps:
        raise NonFiniteStepError(
            f"step {trainee.step}: {longest} in a row were not finite; the last: {message}"
        )


def _observe(
    training: Training,
    updates: dict[str, Update],
    drawn: Sequence[Batch],
    images: Sequence[Tensor],
) -> list[str]:
    """Show the watch over both networks what all processes measured; returns its alarms."""
    if training.adversary is None:
        return []
    measured = mean_over_processes(measure(updates, drawn, images), training.accelerator)
    return training.adversary.health.observe(training.trainee.step, measured)


def _heed_alarms(training: Training, alarms: Sequence[str]) -> None:
    """Tell of alarms; raise GANDivergedError where the options say so."""
    step = training.trainee.step
    for alarm in alarms:
        training.log.warn(step, alarm)
    if training.adversary is not None and training.adversary.health.stops:
        raise GANDivergedError(f"step {step}: {'; '.join(alarms)}")
