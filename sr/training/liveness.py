"""Before the first step: does each term of the loss reach the generator?

A term that is detached somewhere, or so small that nothing of it arrives, would otherwise be
found after days, if at all.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from sr.losses.combined import CombinedLoss
from sr.training.steps import Batch, frozen


class DeadTermError(ValueError):
    """A loss term whose gradient does not reach the generator, or is not finite."""


@dataclass(frozen=True)
class TermShare:
    """What a term of the loss does to the generator on one batch."""

    name: str
    value: float  # unweighted
    weight: float
    gradient_norm: float  # of weight * term with respect to all the generator's parameters
    share: float  # of the sum of all terms' norms


def measure_terms(
    generator: nn.Module,
    discriminator: nn.Module | None,
    loss: CombinedLoss,
    batch: Batch,
    accelerator: Accelerator,
) -> list[TermShare]:
    """Gradient of each weighted term with respect to the generator, on one batch.

    All weights count in full, also those that come in later. Nothing is changed: statistics that
    forward passes leave behind are put back. Raises DeadTermError naming each term whose gradient
    is zero or not finite.
    """
    parameters = [p for p in generator.parameters() if p.requires_grad]
    judges = nn.Module() if discriminator is None else discriminator
    scaler = accelerator.scaler
    scale = 1.0 if scaler is None else scaler.get_scale()  # fp16 would round small ones to zero
    norms: dict[str, float] = {}
    values: dict[str, float] = {}
    with _buffers_kept([generator, judges]), frozen(judges):
        with accelerator.autocast():
            sr = generator(batch.lr)
        sr = sr.float()
        for name, part in loss.terms.items():
            value = part.term(sr, batch.hr)
            values[name] = value.item()
            gradients = (
                torch.autograd.grad(
                    scale * part.weight * value, parameters, retain_graph=True, allow_unused=True
                )
                if value.requires_grad
                else []
            )
            squares = [g.double().square().sum() for g in gradients if g is not None]
            norms[name] = float(sum(squares, torch.zeros((), dtype=torch.float64)).sqrt()) / scale
    _refuse_dead(norms)
    total = sum(norms.values())
    return [
        TermShare(name, values[name], part.weight, norms[name], norms[name] / total)
        for name, part in loss.terms.items()
    ]


def as_table(shares: Sequence[TermShare]) -> list[str]:
    """Lines for a terminal."""
    head = f"{'loss term':24} {'value':>10} {'weight':>9} {'|gradient|':>11} {'share':>9}"
    return [head] + [
        f"{part.name:24} {part.value:10.4g} {part.weight:9.3g} {part.gradient_norm:11.3g} "
        f"{part.share:9.2%}"
        for part in shares
    ]


def _refuse_dead(norms: dict[str, float]) -> None:
    dead = [name for name, norm in norms.items() if norm == 0]
    wild = [name for name, norm in norms.items() if not norm < float("inf")]
    faults = [f"{name}: its gradient is zero, so it would train nothing" for name in dead]
    faults += [f"{name}: its gradient is {norms[name]}" for name in wild]
    if faults:
        raise DeadTermError("loss terms that do not reach the generator: " + "; ".join(faults))


@contextmanager
def _buffers_kept(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Put back what batch and spectral normalisation remember."""
    kept = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
