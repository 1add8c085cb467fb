"""Contextual loss: features of sr and hr as sets, wherever in the image they are.

Mechrez, Talmi, Zelnik-Manor 2018, "The Contextual Loss for Image Transformation with Non-Aligned
Data" (arXiv 1803.02077), section 3; for super-resolution Mechrez et al. 2018, "Maintaining Natural
Image Statistics with the Contextual Loss" (arXiv 1803.04626). With x_i, y_j the features of sr and
hr at each point, less the mean of y, d_ij their cosine distance:

    d~_ij = d_ij / (min_k d_ik + 1e-5),  w_ij = exp((1 - d~_ij) / h),
    CX_ij = w_ij / sum_k w_ik,  CX = mean_j max_i CX_ij,  L = -log CX,

the mean over the batch, h = 0.5.

Deviation: maps with more than `max_side` points a side are averaged down to that (adaptive average
pooling), because every point is compared with every other; the paper draws points at random.
"""

import torch
from torch import Tensor
from torch.nn import functional

from sr.losses.full_precision import in_full_precision

_EPSILON = 1e-5


@in_full_precision
def contextual_distance(phi: Tensor, wanted: Tensor, bandwidth: float, max_side: int) -> Tensor:
    """Return L, a scalar. phi, wanted: feature maps, (B, C, H, W), of sr and hr."""
    height, width = phi.shape[-2:]
    size = min(height, max_side), min(width, max_side)
    if size != (height, width):
        phi, wanted = (functional.adaptive_avg_pool2d(x, size) for x in (phi, wanted))
    center = wanted.mean((2, 3), keepdim=True)
    x, y = (functional.normalize((m - center).flatten(2), dim=1) for m in (phi, wanted))
    distance = 1 - torch.einsum("bci,bcj->bij", x, y).clamp(-1, 1)
    relative = distance / (distance.amin(2, keepdim=True) + _EPSILON)
    contextual = (-relative / bandwidth).softmax(2)  # the constant 1 / h cancels out
    return -contextual.amax(1).mean(1).log().mean()
