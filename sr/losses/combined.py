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

    def __call__(
        self, sr: Tensor, hr: Tensor, factors: Mapping[str, float] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """sr, hr: (B, 3, H, W) float32, RGB in [0, 1].

        factors: by which the weights of the named terms are multiplied now; a term of factor 0 is
        not computed. Returns the weighted total, and each term unweighted and detached, by name.
        """
        weights = self.weights(factors)
        values = {name: self.terms[name].term(sr, hr) for name in weights}
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def weights(self, factors: Mapping[str, float] | None = None) -> dict[str, float]:
        """Each term's weight now, without the terms that are off."""
        factors = factors or {}
        weights = {name: part.weight * factors.get(name, 1.0) for name, part in self.terms.items()}
        return {name: weight for name, weight in weights.items() if weight}
