"""Optimizers of the package pytorch_optimizer, which is installed on wish.

Kim, "pytorch_optimizer: optimizer & lr scheduler & loss function collections in PyTorch", 2021 on,
Apache-2.0. The papers are named at the options.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sr.errors import UserError
from sr.optim.tensor_lists import clone_tensors, copy_tensors

GROUP_STATE = frozenset(
    ("step", "weight_sum", "lr_max", "train_mode", "d", "d_max", "d_numerator", "d_de_nom", "d_hat")
)
"""Of their parameter groups what changes in training, next to the settings."""


def import_library(name: str) -> Any:
    """Return the package. name: of the optimizer that needs it, for the UserError without it."""
    try:
        return import_module("pytorch_optimizer")
    except ImportError as error:
        raise UserError(
            f"optimizer {name}: expected the package pytorch_optimizer, got none ({error}); "
            'pip install "pytorch_optimizer>=4.1"'
        ) from None


def make_library_optimizer(name: str, network: nn.Module, **settings: Any) -> Optimizer:
    """Make an optimizer of all parameters of a network, by its name in the package."""
    optimizer: Optimizer = getattr(import_library(name), name)(network.parameters(), **settings)
    return optimizer


@contextmanager
def use_averaged_weights(
    optimizer: Optimizer, parameters: Sequence[nn.Parameter]
) -> Iterator[None]:
    """Give the network the weights that the optimizer means to be used, if it averages itself.

    Those of schedule-free optimizers are another mean than those at which gradients are taken. The
    latter come back afterwards, to the bit.
    """
    if not any(group.get("train_mode") for group in optimizer.param_groups):
        yield
        return
    weights = list[Tensor](parameters)
    copies = clone_tensors(weights)
    optimizer.eval()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for group in optimizer.param_groups:
            group["train_mode"] = True
        with torch.no_grad():
            copy_tensors(weights, copies)
