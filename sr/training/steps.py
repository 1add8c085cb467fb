"""One optimizer step, as a function of its arguments."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from sr.losses.combined import CombinedLoss

Forward = Callable[[Tensor], Tensor]


class NonFiniteLossError(ArithmeticError):
    """The loss or the gradient is NaN or infinite; the weights are still those of the last step."""


@dataclass(frozen=True)
class StepResult:
    """What a step has to tell; the loss is the weighted total, the terms are unweighted."""

    loss: float
    terms: dict[str, float]
    gradient_norm: float  # before clipping


def generator_step(
    forward: Forward,
    parameters: Sequence[nn.Parameter],
    optimizer: Optimizer,
    loss: CombinedLoss,
    lr: Tensor,
    hr: Tensor,
    clip_norm: float | None,
    accelerator: Accelerator,
) -> StepResult:
    """Predict, compare, update once.

    forward: the generator, perhaps compiled. lr: (B, 3, H, W), hr: (B, 3, scale*H, scale*W),
    RGB in [0, 1]. The networks run in the accelerator's precision, the loss in fp32.
    Raises NonFiniteLossError before anything is updated.
    """
    optimizer.zero_grad()
    with accelerator.autocast():
        sr = forward(lr)
    total, terms = loss(sr.float(), hr)
    # Reading values makes a GPU wait; without, a NaN would be in the weights when it is seen.
    value = total.item()
    if not math.isfinite(value):
        named = ", ".join(f"{name} {term.item():g}" for name, term in terms.items())
        raise NonFiniteLossError(f"loss is {value} (terms: {named})")
    accelerator.backward(total)
    limit = math.inf if clip_norm is None else clip_norm
    norm = float(accelerator.clip_grad_norm_(parameters, limit))
    # With fp16 an overflowing step is skipped by the scaler, which then lowers its factor.
    if not math.isfinite(norm) and accelerator.scaler is None:
        raise NonFiniteLossError(f"norm of the gradient is {norm} at loss {value:g}")
    optimizer.step()
    return StepResult(value, {name: term.item() for name, term in terms.items()}, norm)


def set_learning_rates(optimizer: Optimizer, base: Sequence[float], factor: float) -> None:
    """Give each parameter group its base learning rate times `factor`."""
    for group, learning_rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = learning_rate * factor


def to_device(tensor: Tensor, device: torch.device, channels_last: bool) -> Tensor:
    """A batch on the device, in the layout of the networks."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return tensor.to(device, non_blocking=True).contiguous(memory_format=layout)
