"""Structural similarity, Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from
error visibility to structural similarity", IEEE TIP 13(4), eq. 13, sec. III-C.

Only windows that lie wholly inside the image count, as in the authors' MATLAB code.
"""

import torch
from torch import Tensor

from sr.errors import UserError
from sr.metrics.luma import Channel, crop_and_quantize

_WINDOW_SIZE = 11  # pixels; sec. III-C, like the three numbers below
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def ssim(sr: Tensor, hr: Tensor, *, border: int, channel: Channel) -> float:
    """Return the mean SSIM of one image, at most 1, after rounding both images to 8 bits.

    sr, hr: (3, H, W) or (1, 3, H, W), RGB in [0, 1].
    border: pixels left out on each side, by custom the scale.
    channel: "y" compares BT.601 luma, "rgb" is the mean of the three channels' SSIM.
    """
    x, y = crop_and_quantize(sr, hr, border=border, channel=channel)  # (C, H, W)
    if min(x.shape[-2:]) < _WINDOW_SIZE:
        raise UserError(
            f"ssim: expected at least {_WINDOW_SIZE} x {_WINDOW_SIZE} px inside the border of "
            f"{border} px, got height {x.shape[-2]}, width {x.shape[-1]}"
        )
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    return float((luminance * structure).mean())


def _blur(values: Tensor) -> Tensor:
    """Return Gaussian means over all whole windows: (C, H, W) to (C, H - 10, W - 10)."""
    offsets = torch.arange(_WINDOW_SIZE, dtype=torch.float64) - _WINDOW_SIZE // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps: list[float] = (weights / weights.sum()).tolist()
    # The window is separable. Shifted sums need no copies of each pixel's window, unlike a
    # float64 convolution on the CPU.
    for dim in (-2, -1):
        size = values.shape[dim] - _WINDOW_SIZE + 1
        blurred = taps[0] * values.narrow(dim, 0, size)
        for shift, weight in enumerate(taps[1:], start=1):
            blurred.add_(values.narrow(dim, shift, size), alpha=weight)
        values = blurred
    return values
