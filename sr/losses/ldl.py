"""LDL: L1 where sr has artifacts.

Liang, Zeng, Zhang 2022, "Details or Artifacts: A Locally Discriminative Learning Approach to
Realistic Image Super-Resolution" (arXiv 2203.09195), section 3: with R = sum over channels of
|hr - sr|, an artifact's error varies from pixel to pixel, and the averaged weights err less:

    M = var(R)^(1/5) * local var(R),  0 where R(sr) < R(sr of the averaged weights),
    L = mean of M * |hr - sr|,

var(R) over the image, local var over 7x7 pixels, both unbiased; borders are reflected.

Deviations: M has no gradient; in the paper's code it has one, which also pays for making the error
even. The averaged weights upscale under autocast like the generator.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from sr.losses.full_precision import in_full_precision

_WINDOW_SIZE = 7  # pixels
_EXPONENT = 1 / 5


class LDL:
    """averaged: the generator with averaged weights, in eval mode."""

    def __init__(self, averaged: Callable[..., Tensor]) -> None:
        self.averaged = averaged

    def __call__(self, sr: Tensor, hr: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """sr, hr: (B, 3, H, W), RGB in [0, 1]. inputs: of the generator, for sr."""
        with torch.no_grad():
            averaged = self.averaged(*inputs)
        return artifact_loss(sr, hr, averaged)


@in_full_precision
def artifact_loss(sr: Tensor, hr: Tensor, averaged: Tensor) -> Tensor:
    """Return L, a scalar. All: (B, 3, H, W), H and W at least 4. averaged: the mean weights' sr."""
    return (find_artifacts(sr.detach(), hr, averaged.to(sr.dtype)) * (hr - sr).abs()).mean()


def find_artifacts(sr: Tensor, hr: Tensor, averaged: Tensor) -> Tensor:
    """Return M, (B, 1, H, W)."""
    residual = (hr - sr).abs().sum(1, keepdim=True)
    reference = (hr - averaged).abs().sum(1, keepdim=True)
    padded = functional.pad(residual, (_WINDOW_SIZE // 2,) * 4, mode="reflect")
    windows = padded.unfold(2, _WINDOW_SIZE, 1).unfold(3, _WINDOW_SIZE, 1)
    whole = residual.var((-3, -2, -1), keepdim=True) ** _EXPONENT
    return torch.where(residual < reference, 0.0, whole * windows.var((-2, -1)))
