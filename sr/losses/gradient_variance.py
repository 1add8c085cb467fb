"""Gradient variance: sr shall be as sharp as hr in each small square.

Abrahamyan, Truong, Philips, Deligiannis 2022, "Gradient Variance Loss for Structure-Enhanced Image
Super-Resolution" (arXiv 2202.00997): Sobel gradients of gray images, their variance in squares of
n x n pixels that do not overlap, and the mean squared difference of the variances, for the
gradient across plus that down.

Deviations: only gradients of whole 3x3 neighborhoods count (the paper's code pads with zeros, whose
edges are none of the image); gray is BT.601 luma, as in the paper's code.
"""

import torch
from torch import Tensor
from torch.nn import functional

from sr.errors import UserError
from sr.losses.full_precision import in_full_precision

_LUMA = (0.299, 0.587, 0.114)


@in_full_precision
def gradient_variance_loss(sr: Tensor, hr: Tensor, patch_size: int) -> Tensor:
    """Return the distance, a scalar. sr, hr: (B, 3, H, W), RGB in [0, 1].

    patch_size: n, pixels. Raises UserError for images with no room for one square.
    """
    if min(sr.shape[-2:]) < patch_size + 2:
        raise UserError(
            f"gradient variance: expected images of at least {patch_size + 2} x {patch_size + 2} "
            f"px, got height {sr.shape[-2]}, width {sr.shape[-1]}"
        )
    return 2 * functional.mse_loss(_measure(sr, patch_size), _measure(hr, patch_size))


def _measure(image: Tensor, patch_size: int) -> Tensor:
    """Return the variances in the squares, (B, 2, h, w): of the gradient across, and down."""
    luma = torch.tensor(_LUMA, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    gray = (image * luma).sum(1)  # (B, H, W)
    across = _smooth(gray[..., 2:] - gray[..., :-2], -2)
    down = _smooth(gray[..., 2:, :] - gray[..., :-2, :], -1)
    gradients = torch.stack([across, down], dim=1)  # (B, 2, H - 2, W - 2)
    patches = gradients.unfold(2, patch_size, patch_size).unfold(3, patch_size, patch_size)
    return patches.var((-2, -1))


def _smooth(values: Tensor, dim: int) -> Tensor:
    """Return the sums of three neighbors with the weights 1, 2, 1."""
    size = values.shape[dim] - 2
    first, middle, last = (values.narrow(dim, start, size) for start in range(3))
    return first + 2 * middle + last
