"""Sizes that do not fit, made to fit."""

from torch import Tensor
from torch.nn import functional


def pad_to_multiple(lr: Tensor, multiple: int) -> Tensor:
    """Return lr with its last row and column repeated up to multiples of `multiple`.

    lr: (B, C, H, W). Without a branch, which an exporter would take for all sizes.
    """
    height, width = lr.shape[-2:]
    return functional.pad(lr, (0, -width % multiple, 0, -height % multiple), mode="replicate")
