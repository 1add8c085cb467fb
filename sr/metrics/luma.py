"""The pixel values that full-reference metrics compare: 8 bits, a cropped border, Y or RGB.

Y is ITU-R BT.601 luma as MATLAB's `rgb2ycbcr` has it, which published super-resolution tables use:
Y = 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in [0, 1]; here it is not rounded.
"""

from typing import Literal

import torch
from torch import Tensor

from sr.errors import UserError

Channel = Literal["y", "rgb"]

_LUMA_WEIGHTS = (65.481, 128.553, 24.966)  # ITU-R BT.601, for R, G, B in [0, 1]
_LUMA_OFFSET = 16.0  # black


def crop_and_quantize(
    sr: Tensor, hr: Tensor, *, border: int, channel: Channel
) -> tuple[Tensor, Tensor]:
    """Return both images as the metrics see them.

    sr, hr: (3, H, W) or (1, 3, H, W), RGB in [0, 1]; values outside are clamped.
    border: pixels left out on each side.
    Returns two (C, H - 2*border, W - 2*border), float64; C = 1: Y in [16, 235], or C = 3: RGB in
    [0, 255].
    """
    if channel not in ("y", "rgb"):
        raise ValueError(f"channel: expected 'y' or 'rgb', got {channel!r}")
    if border < 0:
        raise ValueError(f"border: expected 0 or more pixels, got {border}")
    for name, image in (("sr", sr), ("hr", hr)):
        if image.shape[:-2] not in ((3,), (1, 3)) or not image.is_floating_point():
            raise ValueError(
                f"{name}: expected a tensor (3, H, W) or (1, 3, H, W), float in [0, 1], "
                f"got {tuple(image.shape)}, {image.dtype}"
            )
    if sr.shape[-2:] != hr.shape[-2:]:
        raise UserError(
            "sr and hr: expected images of the same height and width, "
            f"got {tuple(sr.shape[-2:])} and {tuple(hr.shape[-2:])}"
        )
    height, width = hr.shape[-2:]
    if min(height, width) <= 2 * border:
        raise UserError(
            f"expected images larger than twice the border of {border} px, "
            f"got height {height}, width {width}"
        )
    inside = (..., slice(border, height - border), slice(border, width - border))
    return _values(sr[inside], channel), _values(hr[inside], channel)


def _values(image: Tensor, channel: Channel) -> Tensor:
    """Turn (3, H, W) or (1, 3, H, W), RGB in [0, 1], into (1, H, W) Y or (3, H, W) RGB, float64."""
    image = image.detach().reshape(3, *image.shape[-2:])
    if image.device.type == "mps":  # has no float64
        image = image.cpu()
    # The 8 bits that an image file would hold, rounded half upwards.
    rgb = (image.to(torch.float64).clamp(0, 1) * 255 + 0.5).floor()
    if channel == "rgb":
        return rgb
    weights = rgb.new_tensor(_LUMA_WEIGHTS) / 255
    return _LUMA_OFFSET + (weights[:, None, None] * rgb).sum(dim=0, keepdim=True)
