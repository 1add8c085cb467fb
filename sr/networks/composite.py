"""Networks put together: one after the other, or two blended; and enlargement without a network.

Each has the shapes of one network, so that tiles, videos and measurements need not know.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

ResampleMethod = Literal["nearest", "bicubic"]


class ChainedNetwork(nn.Module):
    """Networks one after the other; each sees the result of the one before, limited to [0, 1].

    Limited as a file of that result would be, which is what networks are trained for.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, C, H, W), as the first takes it. Returns (B, 3, scale*H, scale*W), not clamped.

        scale: the product of the networks'.
        """
        sr: Tensor = self.networks[0](lr)
        for network in self.networks[1:]:
            sr = network(sr.to(lr.dtype).clamp(0, 1))
        return sr


class BlendedNetwork(nn.Module):
    """The weighted mean of two networks' results, of encoded values as both are trained for.

    strength: the first one's share, in [0, 1].
    """

    def __init__(self, network: nn.Module, other: nn.Module, strength: float) -> None:
        super().__init__()
        self.network = network
        self.other = other
        self.strength = strength

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, C, H, W). Returns (B, 3, scale*H, scale*W), not clamped."""
        if self.strength == 0:
            plain: Tensor = self.other(lr)
            return plain
        first, second = self.network(lr.clone()), self.other(lr)  # some change their input
        return torch.lerp(second.to(lr.dtype), first.to(lr.dtype), self.strength)

    def extra_repr(self) -> str:
        """Name what is not in the state dict."""
        return f"strength={self.strength}"


class Resampler(nn.Module):
    """Enlargement without weights, of the first three channels: each pixel is an image of its own.

    nearest: pixels are repeated. bicubic: Keys' kernel with a = -0.5 (Keys 1981, "Cubic convolution
    interpolation for digital image processing"), as MATLAB's and Pillow's; sees 2 LR pixels far.
    """

    def __init__(self, scale: int, method: ResampleMethod) -> None:
        super().__init__()
        self.scale = scale
        self.method: ResampleMethod = method

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, C, H, W), C at least 3. Returns (B, 3, scale*H, scale*W), not clamped."""
        image = lr[:, :3]
        if self.scale == 1:
            return image.clone()
        if self.method == "nearest":
            return functional.interpolate(image, scale_factor=float(self.scale), mode="nearest")
        size = [self.scale * side for side in image.shape[2:]]
        return functional.interpolate(image, size, mode="bicubic", antialias=True)

    def extra_repr(self) -> str:
        """Name what is not in the state dict."""
        return f"scale={self.scale}, method={self.method}"


RADII: dict[ResampleMethod, int] = {"nearest": 0, "bicubic": 2}
"""LR pixels that a `Resampler` sees far."""
