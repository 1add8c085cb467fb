"""Muon for convolutional networks, with AdamW for what is not an inner weight.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks": the momentum of a
weight matrix is replaced by the nearest orthogonal matrix, so that all its directions are learned
at the same pace. A convolution's kernel (out, in, kh, kw) is taken as a matrix (out, in*kh*kw).

On chains of convolutions without skips, such as Compact, it learns several times as fast as AdamW
at the start; benchmarks/README.md has the measurement.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, cast, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Coefficients of the quintic Newton-Schulz iteration, Jordan et al. 2024.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
ADAMW_EPSILON = 1e-8


class Muon(Optimizer):
    """Two parameter groups: inner weights by Muon, the rest by AdamW without weight decay.

    Each group's `lr` is its learning rate, as in all torch optimizers, so that schedules work.
    """

    def __init__(
        self,
        inner: Sequence[nn.Parameter],
        rest: Sequence[nn.Parameter],
        learning_rate: float,
        momentum: float,
        adamw_learning_rate: float,
        adamw_betas: tuple[float, float],
    ) -> None:
        """inner: weights of two or more dimensions; see `split_parameters`."""
        groups: list[dict[str, Any]] = [
            {"params": list(inner), "lr": learning_rate, "momentum": momentum, "muon": True},
            {"params": list(rest), "lr": adamw_learning_rate, "betas": adamw_betas, "muon": False},
        ]
        super().__init__([group for group in groups if group["params"]], {})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update all parameters that have a gradient once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["muon"]:
                self._muon_step(group)
            else:
                self._adamw_step(group)
        return loss

    def _muon_step(self, group: dict[str, Any]) -> None:
        """weight -= lr * sqrt(max(1, rows / columns)) * orthogonal(Nesterov momentum)."""
        same_shape: defaultdict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is not None:
                same_shape[weight.shape].append(weight)
        for weights in same_shape.values():
            momenta = [self._nesterov(weight, group["momentum"]) for weight in weights]
            updates = orthogonalize(torch.stack(momenta).flatten(2))
            rows, columns = updates.shape[1:]
            factor = group["lr"] * max(1.0, rows / columns) ** 0.5
            for weight, update in zip(weights, updates, strict=True):
                weight.sub_(update.reshape(weight.shape), alpha=factor)

    def _nesterov(self, weight: nn.Parameter, momentum: float) -> Tensor:
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight, memory_format=torch.contiguous_format)
        mean: Tensor = state["momentum"]
        mean.lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(mean, momentum)

    def _adamw_step(self, group: dict[str, Any]) -> None:
        """Kingma and Ba 2015, algorithm 1."""
        beta1, beta2 = group["betas"]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["step"] = 0
                state["mean"] = torch.zeros_like(weight)
                state["square"] = torch.zeros_like(weight)
            state["step"] += 1
            state["mean"].lerp_(weight.grad, 1 - beta1)
            state["square"].lerp_(weight.grad.square(), 1 - beta2)
            mean = state["mean"] / (1 - beta1 ** state["step"])
            root = (state["square"] / (1 - beta2 ** state["step"])).sqrt()
            weight.sub_(mean / (root + ADAMW_EPSILON), alpha=group["lr"])


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return nearly orthogonal matrices with the singular vectors of the given ones.

    matrices: (N, rows, columns). Returns the same shape; singular values about 0.7 to 1.2.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x)[:, None, None] + 1e-12)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return (inner, rest): weights of convolutions between the first and the last, and all others.

    With spectral normalization `weight` is computed, and the parameter is `weight_orig`.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    inner = [
        cast(nn.Parameter, getattr(module, "weight_orig", module.weight))
        for module in convolutions[1:-1]
    ]
    chosen = {id(weight) for weight in inner}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    return inner, rest
