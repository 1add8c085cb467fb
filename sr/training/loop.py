"""The training loop: one straight story from the first step to the last."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator

from sr.losses.combined import CombinedLoss
from sr.training.distributed import any_process
from sr.training.gan_monitor import GANDivergedError
from sr.training.logging import RunLog
from sr.training.state import TrainState
from sr.training.step_metrics import collect_fields, describe_nonfinite, measure_step
from sr.training.steps import Batch, train_step


class NonFiniteStepError(ArithmeticError):
    """Losses or gradients that are not finite, with step, terms and the images of the batch."""


def run_loop(  # noqa: C901, one story, read from top to bottom
    state: TrainState,
    loss: CombinedLoss,
    loader: Iterator[Batch],
    accelerator: Accelerator,
    log: RunLog,
    *,
    steps: int,
    batches_per_step: int,
    batch_size: int,
    seed: int,
    max_nonfinite_steps: int,
    validate_interval: int,
    checkpoint_interval: int,
    validate: Callable[[], bool],
    save: Callable[[], object],
    interrupted: Callable[[], bool],
) -> bool:
    """Train from the state's step to step `steps`, or until interrupted.

    batches_per_step: also in steps that do not train the discriminator. batch_size: of each of
    them, in each process. seed: of what networks draw in training, such as dropout.
    max_nonfinite_steps: in a row. validate, save: called with the state up to date; validate
    returns whether it was finished. interrupted: asked in each process, and ends all of them.
    Returns whether the last step was reached and validated; either way the state is saved.
    Raises NonFiniteStepError, or GANDivergedError where the options ask for it, with the state
    of the last checkpoint on disk.
    """
    state.generator.network.train()
    if state.validation_due:  # an earlier run was interrupted in it
        state.validation_due = any_process(not validate(), accelerator)
        if state.step >= steps:
            save()
        log.restart_clock(state.step)
    while state.step < steps and not any_process(interrupted(), accelerator):
        # The batches of the step.
        step = state.step + 1
        try:
            batches = list(islice(loader, batches_per_step))
        except RuntimeError:
            # The signal that asks to stop has ended the workers, too. Of several processes the
            # others may be waiting for this one's gradients; only an error ends them all.
            if accelerator.num_processes == 1 and interrupted():
                break
            raise

        # One update of each network, and of the averaged weights.
        torch.manual_seed(_mix_seed(seed, step, accelerator.process_index))
        results = train_step(state, loss, batches, step, accelerator)
        if results["generator"].finite:
            state.update_ema()
        state.step = step
        state.draws += batches_per_step * batch_size * accelerator.num_processes

        # Losses and gradients that are not finite: their update was skipped, in all processes.
        # Those that overflow in fp16 are not counted: the scaler finds its factor by them.
        for name, result in results.items():
            in_row = state.nonfinite_in_row.get(name, 0) + (0 if result.overflowed else 1)
            state.nonfinite_in_row[name] = 0 if result.finite else in_row
        if not all(result.finite for result in results.values()):
            message = describe_nonfinite(results, batches, accelerator)
            log.warn(step, f"not finite, skipped; {message}")
            longest = max(state.nonfinite_in_row.values())
            if longest >= max_nonfinite_steps:
                raise NonFiniteStepError(
                    f"step {step}: {longest} in a row were not finite; the last: {message}"
                )

        # The log; weights and factors are those of this step, before they change.
        fields = collect_fields(state, loss, results, step)
        if state.uncertainty is not None and results["generator"].finite:
            state.uncertainty.update(results["generator"].averages)
        alarms: list[str] = []
        if state.gan is not None:
            alarms = state.gan.monitor.observe(step, measure_step(results))
            summary = state.gan.monitor.summarize()
            fields |= {f"health_{name}": value for name, value in summary.items()}
        log.write_step(step, fields)
        for alarm in alarms:
            log.warn(step, alarm)
        if state.gan is not None and state.gan.monitor.stops:
            raise GANDivergedError(f"step {step}: {'; '.join(alarms)}")

        # Validation and checkpoint.
        last = step == steps
        if step % validate_interval == 0 or last:
            state.validation_due = any_process(not validate(), accelerator)
            log.restart_clock(step)
        if step % checkpoint_interval == 0 or last:
            save()
            log.restart_clock(step)
    finished = state.step >= steps and not state.validation_due
    if not finished:
        save()
    return finished


def _mix_seed(*numbers: int) -> int:
    """Return a seed of its own for each step and process, which a resumed run finds again."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
