"""Transparent frames through a network that takes three channels, as `sr.inference.channels` does.

The network sees colors multiplied by alpha, and alpha as a gray image of its own; colors under full
transparency, which nobody sees, would else shine through at the edges.

Letters: n frames, h x w LR pixels, H x W pixels of the result.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from sr.inference.options import Alpha

_HIDDEN = 0.5 / 255  # alpha under which colors are not divided by it: that would show noise

Upscale = Callable[[Tensor], Tensor]
"""(n, 3, h, w) -> (n, 3, H, W), neither of them clamped."""


def upscale_transparent(lr: Tensor, alpha_mode: Alpha, upscale: Upscale) -> Tensor:
    """Upscale frames with alpha.

    lr: (n, 4, h, w), RGB and alpha. alpha_mode: `model`, or `bicubic` for alpha without the
    network. Returns (n, 4, H, W), RGB not clamped, alpha in [0, 1].
    """
    colors, alpha = lr[:, :3], lr[:, 3:].clamp(0, 1)
    if alpha_mode == "bicubic" or bool((alpha == 1).all()):
        sr = upscale(colors)
        return torch.cat([sr, _resize(alpha, sr).clamp(0, 1)], 1)
    sr = upscale(colors * alpha)
    sr_alpha = _resize(alpha, sr)
    varies = alpha.amin((1, 2, 3)) < alpha.amax((1, 2, 3))
    if bool(varies.any()):
        gray = alpha[varies].expand(-1, 3, -1, -1).contiguous()
        sr_alpha[varies] = upscale(gray).mean(1, keepdim=True).to(sr_alpha.dtype)
    sr_alpha = sr_alpha.clamp(0, 1)
    divided = (sr / sr_alpha.clamp(min=_HIDDEN)).clamp(0, 1)
    sr = torch.where(sr_alpha < 1, divided, sr)  # opaque colors stay out of [0, 1]
    return torch.cat([torch.where(sr_alpha < _HIDDEN, _resize(colors, sr), sr), sr_alpha], 1)


def _resize(image: Tensor, like: Tensor) -> Tensor:
    """Resize by bicubic interpolation to the height and width of `like`."""
    if image.shape[2:] == like.shape[2:]:
        return image.to(like.dtype)
    return functional.interpolate(
        image.to(like.dtype), like.shape[2:], mode="bicubic", antialias=True
    )
