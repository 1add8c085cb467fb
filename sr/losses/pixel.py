"""Pixel losses: distances of sr and hr, both (B, 3, H, W) float32, RGB in [0, 1]; a scalar each."""

from torch import Tensor
from torch.nn import functional


def l1(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean of |sr - hr|."""
    return functional.l1_loss(sr, hr)


def mse(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean of (sr - hr)^2; Ledig et al. 2017, eq. 4."""
    return functional.mse_loss(sr, hr)


def charbonnier(sr: Tensor, hr: Tensor, epsilon: float) -> Tensor:
    """Return mean of sqrt((sr - hr)^2 + epsilon^2); Lai et al. 2017, arXiv 1704.03915, eq. 2."""
    return ((sr - hr).square() + epsilon**2).sqrt().mean()
