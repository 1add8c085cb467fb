"""Before the first step: does each term of the loss reach the generator?

A term that is detached somewhere, or so small that nothing of it arrives, would otherwise be
found after days, if at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sr.errors import UserError
from sr.losses.combined import CombinedLoss
from sr.models.load import preview_names
from sr.training.steps import Batch, copy_buffers, freeze, restore_buffers

FP16_SCALE = 1024.0


class ZeroGradientError(UserError):
    """A loss term whose gradient does not reach the generator, or is not finite."""


@dataclass(frozen=True)
class GradientShare:
    """What a term of the loss does to the generator on one batch."""

    name: str
    value: float  # unweighted
    weight: float
    gradient_norm: float  # of weight * term with respect to all the generator's parameters
    share: float  # of the sum of all terms' norms


def measure_gradients(
    networks: Sequence[nn.Module], loss: CombinedLoss, batch: Batch, accelerator: Accelerator
) -> list[GradientShare]:
    """Measure the gradient of each weighted term with respect to the generator, on one batch.

    networks: the generator and, where there is one, the discriminator. All weights count in full,
    also those that come in later. Nothing is changed: statistics that forward passes leave behind
    are put back. Raises ZeroGradientError naming each term whose gradient is zero or not finite.
    """
    generator, *discriminators = networks
    parameters = [p for p in generator.parameters() if p.requires_grad]
    # fp16 would round small gradients inside of the terms' networks to zero.
    scale = 1.0 if accelerator.scaler is None else FP16_SCALE
    norms: dict[str, float] = {}
    values: dict[str, float] = {}
    buffers = copy_buffers(networks)
    inputs = batch.all_inputs
    with freeze(*discriminators):
        with accelerator.autocast():
            sr = generator(*inputs)
        if accelerator.num_processes > 1:
            _refuse_unused_parameters(generator, sr)
        for name, part in loss.terms.items():
            seen = sr.detach().float().requires_grad_()
            value = part.compute(seen, batch.hr, batch.motion, inputs)
            values[name] = value.item()
            norms[name] = part.weight / scale * _gradient_norm(value * scale, seen, sr, parameters)
    restore_buffers(buffers)
    _refuse_zero_gradients(norms)
    total = sum(norms.values())
    return [
        GradientShare(name, values[name], part.weight, norms[name], norms[name] / total)
        for name, part in loss.terms.items()
    ]


def format_gradients(shares: Sequence[GradientShare]) -> list[str]:
    """Return lines for a terminal."""
    head = f"{'loss term':24} {'value':>10} {'weight':>9} {'|gradient|':>11} {'share':>9}"
    return [head] + [
        f"{part.name:24} {part.value:10.4g} {part.weight:9.3g} {part.gradient_norm:11.3g} "
        f"{part.share:9.2%}"
        for part in shares
    ]


def _refuse_unused_parameters(generator: nn.Module, sr: Tensor) -> None:
    """Raise UserError naming parameters that sr does not depend on.

    Processes that exchange gradients would wait for theirs: torch's error comes a step later, and
    does not name them.
    """
    named = {name: p for name, p in generator.named_parameters() if p.requires_grad}
    parts = torch.autograd.grad(
        sr, list(named.values()), torch.ones_like(sr), retain_graph=True, allow_unused=True
    )
    unused = [name for name, part in zip(named, parts, strict=True) if part is None]
    if unused:
        raise UserError(
            "generator: expected a result that depends on all parameters, as several processes "
            f"need it, got one that does not depend on {preview_names(unused)}"
        )


def _refuse_zero_gradients(norms: dict[str, float]) -> None:
    zeros = [name for name, norm in norms.items() if norm == 0]
    nonfinite = [name for name, norm in norms.items() if not math.isfinite(norm)]
    faults = [f"{name}: its gradient is zero, so it would train nothing" for name in zeros]
    faults += [f"{name}: its gradient is {norms[name]}" for name in nonfinite]
    if faults:
        raise ZeroGradientError("loss terms that do not reach the generator: " + "; ".join(faults))


def _gradient_norm(
    value: Tensor, seen: Tensor, sr: Tensor, parameters: Sequence[nn.Parameter]
) -> float:
    """Return the norm of the gradient of a term with respect to the parameters.

    seen: a copy of sr that the term was computed from. What comes out of the term is passed on at
    length 1, so that nothing of it is lost in lower precision, however small it is.
    """
    if not value.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(value, seen, allow_unused=True)
    if gradient is None:
        return 0.0
    length = float(gradient.double().norm())
    if length == 0 or not math.isfinite(length):
        return length
    direction = (gradient / length).to(sr.dtype)
    parts = torch.autograd.grad(sr, parameters, direction, retain_graph=True, allow_unused=True)
    squares = [float(part.double().square().sum()) for part in parts if part is not None]
    return length * math.sqrt(sum(squares))
