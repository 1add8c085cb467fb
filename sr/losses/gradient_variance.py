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
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


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
    sobel = torch.tensor(_SOBEL, dtype=image.dtype, device=image.device)
    kernels = torch.stack([sobel, sobel.mT])[:, None]
    gradients = functional.conv2d((image * luma).sum(1, keepdim=True), kernels)
    patches = gradients.unfold(2, patch_size, patch_size).unfold(3, patch_size, patch_size)
    return patches.var((-2, -1))
