"""The generator's loss: named terms, each unweighted, and their weighted sum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Term = Callable[[Tensor, Tensor], Tensor]
MotionTerm = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class WeightedTerm:
    """A loss term and its factor in the sum."""

    term: Term
    weight: float

    def of(self, sr: Tensor, hr: Tensor, _motion: Tensor | None) -> Tensor:
        """The term, unweighted; as `WeightedMotionTerm`."""
        return self.term(sr, hr)


@dataclass(frozen=True)
class WeightedMotionTerm:
    """A loss term that compares consecutive frames along their motion."""

    term: MotionTerm
    weight: float

    def of(self, sr: Tensor, hr: Tensor, motion: Tensor | None) -> Tensor:
        """The term, unweighted. Raises ValueError for images, which have no motion."""
        if motion is None:
            raise ValueError("a temporal term needs clips: expected motion in the batch, got none")
        return self.term(sr, hr, motion)


@dataclass(frozen=True)
class CombinedLoss:
    """total = sum over the terms of weight * term(sr, hr)."""

    terms: Mapping[str, WeightedTerm | WeightedMotionTerm]

    def __call__(
        self,
        sr: Tensor,
        hr: Tensor,
        factors: Mapping[str, float] | None = None,
        motion: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """sr, hr: (B, 3, H, W) float32, RGB in [0, 1].

        factors: by which the weights of the named terms are multiplied now; a term of factor 0 is
        not computed. motion: of clips, (B/2, 2, H, W), see `temporal`. Returns the weighted total,
        and each term unweighted and detached, by name.
        """
        weights = self.weights(factors)
        values = {name: self.terms[name].of(sr, hr, motion) for name in weights}
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def weights(self, factors: Mapping[str, float] | None = None) -> dict[str, float]:
        """Each term's weight now, without the terms that are off."""
        factors = factors or {}
        weights = {name: part.weight * factors.get(name, 1.0) for name, part in self.terms.items()}
        return {name: weight for name, weight in weights.items() if weight}
