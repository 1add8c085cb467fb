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


@dataclass(frozen=True)
class WeightedTerm:
    """A loss term and its factor in the sum.

    compares: what the term takes, and sr with. hr: term(sr, hr); motion: term(sr, hr, motion), of
    consecutive frames along their motion; inputs: term(sr, inputs), of all N results, a teacher's.
    """

    term: Callable[..., Tensor]
    weight: float
    compares: Literal["hr", "motion", "inputs"] = "hr"

    def compute(
        self, sr: Tensor, hr: Tensor, motion: Tensor | None = None, inputs: Tensor | None = None
    ) -> Tensor:
        """Return the term, unweighted; arguments as in `CombinedLoss`.

        Raises ValueError for images, which have no motion, and for inputs that are not given.
        """
        match self.compares:
            case "hr":
                return self.term(select_with_original(sr, hr), hr)
            case "motion":
                if motion is None:
                    raise ValueError(
                        "a temporal term needs clips: expected motion in the batch, got none"
                    )
                return self.term(select_with_original(sr, hr), hr, motion)
            case "inputs":
                if inputs is None:
                    raise ValueError("a teacher's term: expected the generator's inputs, got none")
                return self.term(sr, inputs)


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
        inputs: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """sr: (N, 3, H, W), hr: (B, 3, H, W), float32, RGB in [0, 1].

        factors: by which the weights of the named terms are multiplied now; a term of factor 0 is
        not computed. motion: of clips, (B/2, 2, H, W), see `temporal`. inputs: what sr was made
        of, (N, 3, h, w). Returns the weighted total, and each term unweighted and detached, by
        name.
        """
        weights = self.weights(factors)
        values = {name: self.terms[name].compute(sr, hr, motion, inputs) for name in weights}
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
