"""Terms that small differences of large numbers make up stay out of reduced precision."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Comparison = Callable[Concatenate[Tensor, Tensor, Arguments], Tensor]


def in_full_precision(term: Comparison[Arguments]) -> Comparison[Arguments]:
    """Run term(sr, hr, ...) without autocast, on both as float32; float64 stays what it is."""

    @wraps(term)
    def run(sr: Tensor, hr: Tensor, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
        with torch.autocast(sr.device.type, enabled=False):
            return term(widen(sr), widen(hr), *args, **kwargs)

    return run


def widen(image: Tensor) -> Tensor:
    """Return the tensor as float32, or wider where it is."""
    return image.to(torch.promote_types(image.dtype, torch.float32))
