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
            momenta = self._nesterov(weights, group["momentum"])
            updates = orthogonalize(momenta.flatten(2))
            rows, columns = updates.shape[1:]
            factor = group["lr"] * max(1.0, rows / columns) ** 0.5
            updates = _match_layout(updates.reshape(momenta.shape), weights[0])
            torch._foreach_sub_(list[Tensor](weights), list(updates), alpha=factor)

    def _nesterov(self, weights: Sequence[nn.Parameter], momentum: float) -> Tensor:
        """Return (N, *shape) of N weights of one shape, contiguous, as their running means are."""
        means: list[Tensor] = []
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["momentum"] = torch.zeros_like(weight, memory_format=torch.contiguous_format)
            means.append(state["momentum"])
        gradients = torch.stack(_list_gradients(weights)).contiguous()
        each = list(gradients)
        torch._foreach_lerp_(means, each, 1 - momentum)
        torch._foreach_lerp_(each, means, momentum)
        return gradients

    def _adamw_step(self, group: dict[str, Any]) -> None:
        """Kingma and Ba 2015, algorithm 1."""
        beta1, beta2 = group["betas"]
        same_step: defaultdict[int, list[nn.Parameter]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["step"] = 0
                state["mean"] = torch.zeros_like(weight)
                state["square"] = torch.zeros_like(weight)
            state["step"] += 1
            same_step[state["step"]].append(weight)
        for step, weights in same_step.items():
            gradients = _list_gradients(weights)
            means = [self.state[weight]["mean"] for weight in weights]
            squares = [self.state[weight]["square"] for weight in weights]
            torch._foreach_lerp_(means, gradients, 1 - beta1)
            torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - beta2)
            roots = torch._foreach_div(squares, 1 - beta2**step)
            torch._foreach_sqrt_(roots)
            torch._foreach_add_(roots, ADAMW_EPSILON)
            updates = torch._foreach_div(means, 1 - beta1**step)
            torch._foreach_div_(updates, roots)
            torch._foreach_sub_(list[Tensor](weights), updates, alpha=group["lr"])


def _list_gradients(weights: Sequence[nn.Parameter]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


def _match_layout(updates: Tensor, weight: Tensor) -> Tensor:
    """Lay (N, *shape) out in memory as the weight is, or torch would subtract one by one."""
    if weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last):
        return updates.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    return updates.contiguous()


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
