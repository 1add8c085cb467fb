"""The training loop: one straight story from the first step to the last."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.optim import Optimizer

from sr.data.crops import Crop
from sr.losses.combined import CombinedLoss
from sr.training.ema import Ema
from sr.training.logging import RunLog
from sr.training.steps import (
    Forward,
    NonFiniteLossError,
    generator_step,
    set_learning_rates,
    to_device,
)


@dataclass
class Trainee:
    """What changes during a run; all of it is in a state file."""

    generator: nn.Module
    ema: Ema
    optimizer: Optimizer
    step: int = 0  # steps done
    best: float = float("-inf")  # highest mean Y-PSNR of a validation


@dataclass(frozen=True)
class Plan:
    """Numbers of the loop, in steps where not said otherwise."""

    steps: int
    clip_norm: float | None
    base_learning_rates: Sequence[float]  # of the optimizer's parameter groups
    learning_rate_factor: Callable[[int], float]  # of a step, counted from 1
    validate_interval: int
    checkpoint_interval: int
    channels_last: bool


class NonFiniteStepError(ArithmeticError):
    """A loss that is not finite, with step, terms and the pictures of the batch."""


def run_loop(
    trainee: Trainee,
    forward: Forward,
    loss: CombinedLoss,
    batches: Iterator[Crop],
    plan: Plan,
    accelerator: Accelerator,
    log: RunLog,
    validate: Callable[[], None],
    save: Callable[[], None],
    interrupted: Callable[[], bool],
) -> bool:
    """Train from `trainee.step` to the last step, or until interrupted.

    forward: the trainee's generator, perhaps compiled. validate, save: called with the trainee up
    to date. Returns whether the last step was reached; either way the state is saved.
    Raises NonFiniteStepError, with the state of the last checkpoint on disk.
    """
    parameters = list(trainee.generator.parameters())
    trainee.generator.train()
    while trainee.step < plan.steps and not interrupted():
        step = trainee.step + 1
        try:
            batch = next(batches)
        except RuntimeError:
            if interrupted():  # the signal that asks to stop has ended the workers, too
                break
            raise
        lr = to_device(batch["lr"], accelerator.device, plan.channels_last)
        hr = to_device(batch["hr"], accelerator.device, plan.channels_last)
        factor = plan.learning_rate_factor(step)
        set_learning_rates(trainee.optimizer, plan.base_learning_rates, factor)
        try:
            result = generator_step(
                forward, parameters, trainee.optimizer, loss, lr, hr, plan.clip_norm, accelerator
            )
        except NonFiniteLossError as error:
            names = ", ".join(batch["name"])
            raise NonFiniteStepError(f"step {step}: {error}; pictures: {names}") from error
        trainee.ema.update(trainee.generator, num_updates=trainee.step)
        trainee.step = step
        log.step(step, result, factor * plan.base_learning_rates[0])
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


def state_of(trainee: Trainee, accelerator: Accelerator) -> dict[str, object]:
    """Everything the next step depends on, beside the options."""
    scaler = accelerator.scaler
    return {
        "step": trainee.step,
        "best": trainee.best,
        "generator": trainee.generator.state_dict(),
        "ema": trainee.ema.network.state_dict(),
        "optimizer": trainee.optimizer.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
    }


def restore(trainee: Trainee, state: dict[str, Any], accelerator: Accelerator) -> None:
    """The reverse of `state_of`.

    The optimizer's running means come from the state, its settings (betas and the like) stay those
    of the options. Raises KeyError, RuntimeError or ValueError where the state does not fit.
    """
    trainee.generator.load_state_dict(state["generator"])
    trainee.ema.network.load_state_dict(state["ema"])
    settings = [
        {key: value for key, value in group.items() if key != "params"}
        for group in trainee.optimizer.param_groups
    ]
    trainee.optimizer.load_state_dict(state["optimizer"])
    for group, own in zip(trainee.optimizer.param_groups, settings, strict=True):
        group.update(own)
    trainee.step, trainee.best = int(state["step"]), float(state["best"])
    if accelerator.scaler is not None and state["scaler"] is not None:
        accelerator.scaler.load_state_dict(state["scaler"])


def make_accelerator(device: torch.device, dtype: torch.dtype) -> Accelerator:
    """Accelerate on one device, in one precision.

    Accelerate keeps both for the whole process; they are forgotten first, so that a second run in
    the process may choose anew.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # Accelerate takes the current one
    precision = {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    return Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
