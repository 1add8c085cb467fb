"""Images at places between their pixels."""

import torch
from torch import Tensor
from torch.nn import functional


def sample(images: Tensor, across: Tensor, down: Tensor, mode: str = "bilinear") -> Tensor:
    """Images (B, C, h, w) at columns `across` and rows `down`, (B, a, b) each, in pixels.

    Beyond the border, the border's pixels. mode: bilinear or bicubic. Returns (B, C, a, b).
    """
    height, width = images.shape[-2:]
    # grid_sample counts from -1 to 1.
    grid = torch.stack(
        [2 * across / max(width - 1, 1) - 1, 2 * down / max(height - 1, 1) - 1], dim=-1
    ).to(images.dtype)
    return functional.grid_sample(
        images, grid, mode=mode, padding_mode="border", align_corners=True
    )
