"""Rearrange channels to pixels (Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution
Using an Efficient Sub-Pixel Convolutional Neural Network", eq. 4) at the end of a network.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class PixelShuffle(nn.PixelShuffle):
    """The same pixels as `nn.PixelShuffle`, in a third of its time on CPUs; contiguous if enlarged.

    PyTorch's kernel for CPUs goes through the result in its order and reads single numbers; a copy
    between permuted views goes through memory in tiles.
    """

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, C * scale^2, H, W). Returns (B, C, scale*H, scale*W)."""
        if is_exporting():  # one operation in the program
            return functional.pixel_shuffle(features, self.upscale_factor)
        scale = self.upscale_factor
        batch, channels, height, width = features.shape
        pixels: Tensor = features.unflatten(1, (channels // scale**2, scale, scale))
        size = (batch, channels // scale**2, height * scale, width * scale)
        return pixels.permute(0, 1, 4, 2, 5, 3).reshape(size)


def is_exporting() -> bool:
    """Say if the network is being traced for ONNX, ncnn or OpenVINO, and not being run."""
    return torch.compiler.is_exporting() or bool(
        torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )
