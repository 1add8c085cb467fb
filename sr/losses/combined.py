"""The generator's loss: named terms, each unweighted, and their weighted sum.

N inputs of the generator, B of them with an original hr: N = B, but where a teacher also gives
targets for zoomed crops, which come after the B.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Term = Callable[[Tensor, Tensor], Tensor]
MotionTerm = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class WeightedTerm:
    """A loss term that compares sr with hr, and its factor in the sum."""

    term: Term
    weight: float

    def of(
        self, sr: Tensor, hr: Tensor, _motion: Tensor | None, _inputs: Tensor | None = None
    ) -> Tensor:
        """The term, unweighted; arguments as in `CombinedLoss`."""
        return self.term(with_original(sr, hr), hr)


@dataclass(frozen=True)
class WeightedMotionTerm:
    """A loss term that compares consecutive frames along their motion."""

    term: MotionTerm
    weight: float

    def of(
        self, sr: Tensor, hr: Tensor, motion: Tensor | None, _inputs: Tensor | None = None
    ) -> Tensor:
        """The term, unweighted. Raises ValueError for images, which have no motion."""
        if motion is None:
            raise ValueError("a temporal term needs clips: expected motion in the batch, got none")
        return self.term(with_original(sr, hr), hr, motion)


@dataclass(frozen=True)
class WeightedInputTerm:
    """A loss term of sr and the generator's inputs, which needs no hr: a teacher's."""

    term: Term
    """(sr, inputs) -> scalar."""
    weight: float

    def of(
        self, sr: Tensor, _hr: Tensor, _motion: Tensor | None, inputs: Tensor | None = None
    ) -> Tensor:
        """The term, unweighted, of all N results."""
        if inputs is None:
            raise ValueError("a teacher's term needs the generator's inputs; got none")
        return self.term(sr, inputs)


AnyTerm = WeightedTerm | WeightedMotionTerm | WeightedInputTerm


@dataclass(frozen=True)
class CombinedLoss:
    """total = sum over the terms of weight * term."""

    terms: Mapping[str, AnyTerm]

    def __call__(
        self,
        sr: Tensor,
        hr: Tensor,
        factors: Mapping[str, float] | None = None,
        motion: Tensor | None = None,
        inputs: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """sr: (N, 3, H, W), hr: (B, 3, H, W), float32, RGB in [0, 1].

        factors: by which the weights of the named terms are multiplied now; a term of factor 0 is
        not computed. motion: of clips, (B/2, 2, H, W), see `temporal`. inputs: what sr was made
        of, (N, 3, h, w). Returns the weighted total, and each term unweighted and detached, by
        name.
        """
        weights = self.weights(factors)
        values = {name: self.terms[name].of(sr, hr, motion, inputs) for name in weights}
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def weights(self, factors: Mapping[str, float] | None = None) -> dict[str, float]:
        """Each term's weight now, without the terms that are off."""
        factors = factors or {}
        weights = {name: part.weight * factors.get(name, 1.0) for name, part in self.terms.items()}
        return {name: weight for name, weight in weights.items() if weight}


def with_original(sr: Tensor, hr: Tensor) -> Tensor:
    """The first B of N results, those that have an original; sr itself where all have one."""
    return sr if len(sr) == len(hr) else sr[: len(hr)]
