"""A Gaussian blur that gradients pass through."""

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

_REACH = 3.0  # in sigmas, where the kernel is cut off


def find_radius(sigma: float) -> int:
    """Return how far the kernel reaches, in pixels."""
    return ceil(_REACH * sigma)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Return the image, (B, C, H, W), blurred; its borders are reflected.

    sigma: in pixels; H and W exceed `find_radius(sigma)`. Call it outside of autocast.
    """
    radius, channels = find_radius(sigma), image.shape[1]
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, 1, -1)
    # The layout, because torch would hand channels_last ones to cuDNN, and that may take TF32.
    padded = functional.pad(image.contiguous(), (radius,) * 4, mode="reflect")
    across = functional.conv2d(padded, kernel, groups=channels)
    return functional.conv2d(across, kernel.mT, groups=channels)
