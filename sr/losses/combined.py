"""The generator's loss: named terms, each unweighted, and their weighted sum.

N inputs of the generator, B of them with an original hr: N = B, but where a teacher also gives
targets for zoomed crops, which come after the B.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Term = Callable[[Tensor, Tensor], Tensor]
Argument = Literal["sr", "hr", "real", "motion", "inputs", "lr", "all_sr", "all_lr", "step"]


@dataclass(frozen=True)
class WeightedTerm:
    """A loss term and its factor in the sum.

    takes: the term's arguments in their order. Of those that have an original: sr, hr (where there
    is a target, that), real (always hr), lr, inputs (all the generator's arguments), motion. Of all
    N: all_sr, all_lr. step: the number of the step.
    """

    term: Callable[..., Tensor]
    weight: float
    takes: tuple[Argument, ...] = ("sr", "hr")

    def compute(
        self,
        sr: Tensor,
        hr: Tensor,
        motion: Tensor | None = None,
        inputs: tuple[Tensor, ...] = (),
        step: int = 1,
        target: Tensor | None = None,
    ) -> Tensor:
        """Return the term, unweighted; arguments as in `CombinedLoss`.

        Raises ValueError for images, which have no motion, and for inputs that are not given.
        """
        if "motion" in self.takes and motion is None:
            raise ValueError("a temporal term needs clips: expected motion in the batch, got none")
        if not inputs and set(self.takes) & {"lr", "inputs", "all_lr"}:
            raise ValueError("a term of the loss: expected the generator's inputs, got none")
        with_original = tuple(select_with_original(each, hr) for each in inputs)
        arguments = {
            "sr": select_with_original(sr, hr),
            "hr": hr if target is None else target,
            "real": hr,
            "motion": motion,
            "inputs": with_original,
            "lr": with_original[0] if inputs else None,
            "all_sr": sr,
            "all_lr": inputs[0] if inputs else None,
            "step": step,
        }
        return self.term(*(arguments[name] for name in self.takes))


@dataclass(frozen=True)
class CombinedLoss:
    """total = sum over the terms of weight * term."""

    terms: Mapping[str, WeightedTerm]

    def __call__(
        self,
        sr: Tensor,
        hr: Tensor,
        factors: Mapping[str, float] | None = None,
        motion: Tensor | None = None,
        inputs: tuple[Tensor, ...] = (),
        step: int = 1,
        target: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """sr: (N, 3, H, W), hr: (B, 3, H, W), float32, RGB in [0, 1].

        factors: by which the weights of the named terms are multiplied now; a term of factor 0 is
        not computed. motion: of clips, (B/2, 2, H, W), see `temporal`. inputs: what sr was made of,
        first lr, (N, 3, h, w). step: selects what terms draw at random. target: what is compared
        with instead of hr, of its shape, by all terms that do not discriminate. Returns the
        weighted total, and each term unweighted and detached, by name.
        """
        weights = self.weights(factors)
        given = sr, hr, motion, inputs, step, target
        values = {name: self.terms[name].compute(*given) for name in weights}
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def weights(self, factors: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return each term's weight now, without the terms that are off."""
        factors = factors or {}
        weights = {name: part.weight * factors.get(name, 1.0) for name, part in self.terms.items()}
        return {name: weight for name, weight in weights.items() if weight}


def select_with_original(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the first B of N results, those that have an original; sr itself where all have."""
    return sr if len(sr) == len(hr) else sr[: len(hr)]
