"""Peak signal-to-noise ratio: 10 log10(255^2 / MSE), in dB."""

import math

from torch import Tensor

from sr.metrics.luma import Channel, crop_and_quantize

_PEAK = 255.0


def psnr(sr: Tensor, hr: Tensor, *, border: int, channel: Channel) -> float:
    """Return the PSNR of one image in dB, after rounding both to 8 bits; infinite for equal images.

    sr, hr: (3, H, W) or (1, 3, H, W), RGB in [0, 1].
    border: pixels left out on each side, by custom the scale.
    channel: "y" compares BT.601 luma, "rgb" the mean squared error over all three channels.
    """
    sr_values, hr_values = crop_and_quantize(sr, hr, border=border, channel=channel)
    mean_squared_error = float((sr_values - hr_values).square().mean())
    if mean_squared_error == 0:
        return math.inf
    return 10 * math.log10(_PEAK**2 / mean_squared_error)
