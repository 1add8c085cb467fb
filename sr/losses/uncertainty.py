"""Learned weights of loss terms.

Kendall, Gal, Cipolla 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
Geometry and Semantics" (arXiv 1705.07115), eq. 7 with s = log sigma^2: the sum over terms of 1/2
exp(-s) L + 1/2 s, where s is learned. At its minimum exp(-s) = 1 / L: large terms get small
weights.

Deviations: twice the paper's sum, exp(-s) w L + s with the options' weight w, so that all weights
are the options' at the start, and which is also the likelihood of L1. s is held in [-4, 4]. Its
gradient, 1 - exp(-s) w L, needs no graph: it is taken from the values of the step, the mean over
batches and processes, and Adam steps of its own follow it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import Adam

_LIMIT = 4.0


class UncertaintyWeights:
    """The log variances s of named terms; on the CPU."""

    def __init__(self, weights: Mapping[str, float], learning_rate: float) -> None:
        """weights: of the options, by the term's name."""
        self.names = list(weights)
        self._weights = torch.tensor(list(weights.values()))
        self._log_variances = torch.zeros(len(weights), requires_grad=True)
        self._optimizer = Adam([self._log_variances], learning_rate)

    @property
    def log_variances(self) -> dict[str, float]:
        """s of each term."""
        return dict(zip(self.names, self._log_variances.tolist(), strict=True))

    @property
    def factors(self) -> dict[str, float]:
        """exp(-s) of each term, by which its weight is multiplied."""
        return dict(zip(self.names, (-self._log_variances).exp().tolist(), strict=True))

    @torch.no_grad()
    def update(self, values: Mapping[str, float]) -> None:
        """Step once. values: the terms, unweighted, of one update of the generator."""
        losses = self._weights * torch.tensor([values[name] for name in self.names])
        self._log_variances.grad = 1 - (-self._log_variances).exp() * losses
        self._optimizer.step()
        self._log_variances.clamp_(-_LIMIT, _LIMIT)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes; tensors are not copied."""
        return {
            "names": self.names,
            "log_variances": self._log_variances.detach(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; one of other terms is left alone. The learning rate stays."""
        if state["names"] != self.names:
            return
        (group,) = self._optimizer.param_groups
        learning_rate = group["lr"]
        with torch.no_grad():
            self._log_variances.copy_(state["log_variances"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._optimizer.param_groups[0]["lr"] = learning_rate
