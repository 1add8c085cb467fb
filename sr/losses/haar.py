"""Distances of Haar detail bands, of images or of feature maps.

The high-frequency perceptual loss of HF-Diff (Sami et al. 2024, arXiv 2411.13548) compares what an
invertible network, trained on ImageNet, makes of sr and hr: MSE of its feature maps. Deviation: the
network's weights and the weight of its loss are not published. Here the invertible transform is
fixed, an orthonormal Haar wavelet transform (Mallat 1989) of which only the details are compared,
on the image itself or on feature maps of VGG.
"""

from typing import Literal

import torch
from torch import Tensor

from sr.losses.full_precision import in_full_precision


def split_bands(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and details, (B, C, H // 2, W // 2) and (B, 3 * C, H // 2, W // 2).

    x: (B, C, H, W); an odd last row or column is left out. The transform is orthonormal.
    """
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    top, bottom = x[..., 0:height:2, :width], x[..., 1:height:2, :width]
    sums, differences = top + bottom, top - bottom  # of rows; columns still whole
    low, across = sums[..., ::2] + sums[..., 1::2], sums[..., ::2] - sums[..., 1::2]
    down = differences[..., ::2] + differences[..., 1::2]
    diagonal = differences[..., ::2] - differences[..., 1::2]
    return low / 2, torch.cat([across, down, diagonal], dim=1) / 2


@in_full_precision
def detail_distance(sr: Tensor, hr: Tensor, levels: int, criterion: Literal["L1", "MSE"]) -> Tensor:
    """Return the sum over the levels of the mean distance of the details, a scalar.

    sr, hr: (B, C, H, W), H and W at least 2**levels.
    """
    low, total = sr - hr, torch.zeros((), dtype=sr.dtype, device=sr.device)  # the bands are linear
    for _ in range(levels):
        low, details = split_bands(low)
        total = total + (details.abs() if criterion == "L1" else details.square()).mean()
    return total
