"""Distances of Fourier transforms.

F is the two-dimensional DFT of each channel, orthonormal, d = |F(sr) - F(hr)| at each frequency.

- focal: Jiang, Dai, Wu, Loy 2021, "Focal Frequency Loss for Image Reconstruction and Synthesis"
  (arXiv 2012.12821): FFL = mean of w * d^2, w = d^alpha divided by its maximum over the spectrum,
  without a gradient. With alpha = 0 it is the MSE of the pixels (Parseval).
- L1: mean |Re| and |Im| of F(sr) - F(hr), the frequency reconstruction of Cho et al. 2021,
  "Rethinking Coarse-to-Fine Approach in Single Image Deblurring" (MIMO-UNet, arXiv 2108.05054),
  eq. 5.

Deviations: the paper of FFL allows for spectra of patches and for a maximum over the batch, here
images are crops already, and each channel has its own maximum, the default of its code. Cho et al.
transform without a norm, which makes their L1 larger by the root of the number of pixels, and
divide by the number of elements at three sizes; here it is one size and orthonormal, so that a
weight keeps its meaning at every crop size.
"""

from typing import Literal

import torch
from torch import Tensor

from sr.losses.full_precision import in_full_precision

_TINY = 1e-20  # in place of the maximum of a spectrum that is zero


@in_full_precision
def frequency_loss(sr: Tensor, hr: Tensor, kind: Literal["focal", "L1"], alpha: float) -> Tensor:
    """Return the distance, a scalar. sr, hr: (B, 3, H, W), RGB in [0, 1]. alpha: of focal."""
    difference = torch.view_as_real(torch.fft.fft2(sr - hr, norm="ortho"))  # (B, 3, H, W, 2)
    if kind == "L1":
        return difference.abs().mean()
    squares = difference.square().sum(-1)
    weights = squares.detach() ** (alpha / 2)
    return (weights / weights.amax((-2, -1), keepdim=True).clamp_min(_TINY) * squares).mean()
