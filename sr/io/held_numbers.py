"""What the tensors of a file claim, against what the file holds.

A tensor can claim more than its file has: with strides of zero, in memory that others use too, with
a side of zero, or without any values. Sizes are read off such shapes, and memory is taken by them.
"""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

FACTOR = 4  # networks that are fused in files have more weights when they are built
SPARE_NUMBERS = 2**24  # 64 MiB in float32


def count_held(tensors: Mapping[str, Tensor]) -> int:
    """Count the numbers that are there; memory that several tensors share counts once."""
    memory = {
        storage.data_ptr(): storage.nbytes() // tensor.element_size()
        for tensor in tensors.values()
        if (storage := tensor.untyped_storage()).nbytes()
    }
    return sum(memory.values())


def limit_numbers(tensors: Mapping[str, Tensor]) -> int:
    """Return how many numbers something made for these tensors may have."""
    return FACTOR * count_held(tensors) + SPARE_NUMBERS


def refuse_claims(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for tensors without values, and for more numbers than are held."""
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise ValueError(
                f"expected dense tensors with values, got {name} of {tensor.layout} on "
                f"{tensor.device.type}"
            )
    held = count_held(tensors)
    claimed = sum(prod(max(1, side) for side in tensor.shape) for tensor in tensors.values())
    if claimed > limit_numbers(tensors):
        raise ValueError(
            f"expected as many numbers as its tensors claim, {claimed:,}, got {held:,}"
        )
