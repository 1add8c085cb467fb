"""The same work on many tensors at once: on a GPU a few kernels instead of one for each tensor."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor


def copy_tensors(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    """Copy each source into its target, of the same shape; also on the CPU and of any types."""
    by_type: defaultdict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = defaultdict(
        lambda: ([], [])
    )
    for target, source in zip(targets, sources, strict=True):
        lists = by_type[target.dtype]
        lists[0].append(target)
        lists[1].append(source)
    for lists in by_type.values():  # of one type each, or torch copies one by one
        torch._foreach_copy_(*lists)


def clone_tensors(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return a copy of each tensor."""
    originals = list(tensors)
    copies = [torch.empty_like(tensor) for tensor in originals]
    copy_tensors(copies, originals)
    return copies
