"""The generator's loss: named terms, each unweighted, and their weighted sum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Term = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class WeightedTerm:
    """A loss term and its factor in the sum."""

    term: Term
    weight: float


@dataclass(frozen=True)
class CombinedLoss:
    """total = sum over the terms of weight * term(sr, hr)."""

    terms: Mapping[str, WeightedTerm]

    def __call__(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """sr, hr: (B, 3, H, W) float32, RGB in [0, 1].

        Returns the weighted total, and each term unweighted and detached, by name.
        """
        values = {name: part.term(sr, hr) for name, part in self.terms.items()}
        total = torch.stack([self.terms[name].weight * value for name, value in values.items()])
        return total.sum(), {name: value.detach() for name, value in values.items()}
