"""What changes during a run, and its way into a state file and back."""

from dataclasses import dataclass, field
from typing import Any

from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer

from sr.optim.ema import Ema
from sr.training.gan_monitor import Health


@dataclass
class Adversarial:
    """The half of the trainee that judges."""

    discriminator: nn.Module
    optimizer: Optimizer
    health: Health


@dataclass
class Trainee:
    """What changes during a run, and is in a state file."""

    generator: nn.Module
    ema: Ema
    optimizer: Optimizer
    adversarial: Adversarial | None = None
    step: int = 0  # steps done
    best: float = float("-inf")  # highest rating of a validation
    nonfinite_in_row: dict[str, int] = field(default_factory=dict)  # last updates, by network
    begun_anew: tuple[str, ...] = ()  # tensors that the initial file did not have; in no state file


def state_of(trainee: Trainee, accelerator: Accelerator) -> dict[str, object]:
    """Everything the next step depends on, next to the options."""
    scaler, adversarial = accelerator.scaler, trainee.adversarial
    return {
        "step": trainee.step,
        "best": trainee.best,
        "nonfinite_in_row": trainee.nonfinite_in_row,
        "generator": trainee.generator.state_dict(),
        "ema": trainee.ema.network.state_dict(),
        "optimizer": trainee.optimizer.state_dict(),
        "adversarial": None
        if adversarial is None
        else {
            "discriminator": adversarial.discriminator.state_dict(),
            "optimizer": adversarial.optimizer.state_dict(),
            "health": adversarial.health.state_dict(),
        },
        "scaler": None if scaler is None else scaler.state_dict(),
    }


def restore(trainee: Trainee, state: dict[str, Any], accelerator: Accelerator) -> None:
    """The reverse of `state_of`.

    Running means of the optimizers come from the state, their settings (betas and the like) stay
    those of the options. Raises KeyError, RuntimeError or ValueError where the state does not fit.
    """
    trainee.generator.load_state_dict(state["generator"])
    trainee.ema.network.load_state_dict(state["ema"])
    _restore_optimizer(trainee.optimizer, state["optimizer"])
    if trainee.adversarial is not None:
        theirs = state["adversarial"]
        trainee.adversarial.discriminator.load_state_dict(theirs["discriminator"])
        _restore_optimizer(trainee.adversarial.optimizer, theirs["optimizer"])
        trainee.adversarial.health.load_state_dict(theirs["health"])
    trainee.step, trainee.best = int(state["step"]), float(state["best"])
    trainee.nonfinite_in_row = dict(state["nonfinite_in_row"])
    if accelerator.scaler is not None and state["scaler"] is not None:
        accelerator.scaler.load_state_dict(state["scaler"])


def _restore_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    settings = [
        {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)
