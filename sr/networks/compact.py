"""Compact: a plain chain of 3x3 convolutions at low resolution, for fast upscaling.

The design is SRVGGNetCompact of Wang et al. 2021, "Real-ESRGAN" (arXiv 2107.10833), published
with that project's repository: convolutions and PReLUs only, one pixel shuffle at the end, and
the nearest-neighbor enlargement of the input added to the result. The keys of the state dict
(`body.N.weight`) are the published ones, so published files load.

Deviations: the initialization (see `_initialize`); the activation is always PReLU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.pixel_shuffle import PixelShuffle, is_exporting

PRELU_SLOPE = 0.25  # initial slope of each channel, PyTorch's default
BRANCH_GAIN = 0.1  # size of the random part next to the identity


class Compact(nn.Module):
    """Chain of `num_convs` + 2 convolutions, pixel shuffle, nearest-neighbor skip.

    621,424 parameters at x4 with 64 features and 16 convolutions; receptive radius
    `num_convs` + 2 LR pixels.
    """

    def __init__(self, scale: int, num_features: int = 64, num_convs: int = 16) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(3, num_features, 3, padding=1)]
        layers.append(nn.PReLU(num_features, init=PRELU_SLOPE))
        for _ in range(num_convs):
            layers.append(nn.Conv2d(num_features, num_features, 3, padding=1))
            layers.append(nn.PReLU(num_features, init=PRELU_SLOPE))
        layers.append(nn.Conv2d(num_features, 3 * scale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)
        self.shuffle = PixelShuffle(scale)
        self._initialize()

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        residual: Tensor = self.body(lr)
        if is_exporting():  # few runtimes can add to groups of channels
            base = functional.interpolate(lr, scale_factor=float(self.scale), mode="nearest")
            return functional.pixel_shuffle(residual, self.scale) + base
        residual.unflatten(1, (lr.shape[1], self.scale**2)).add_(lr.unsqueeze(2))
        sr: Tensor = self.shuffle(residual)
        return sr

    @torch.no_grad()
    def _initialize(self) -> None:
        """Start every inner convolution near the identity.

        With PyTorch's default the untrained residual is noise of zero median, L1 pulls it to
        zero, and a chain of 18 layers without skips stays at the level of nearest-neighbor
        enlargement for thousands of steps. Identity plus small Kaiming noise does not stall.
        """
        for layer in self.body:
            if not isinstance(layer, nn.Conv2d):
                continue
            nn.init.kaiming_normal_(layer.weight, a=PRELU_SLOPE)
            if layer.in_channels == layer.out_channels:
                identity = nn.init.dirac_(torch.empty_like(layer.weight))
                layer.weight.mul_(BRANCH_GAIN).add_(identity)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        last = self.body[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight.mul_(BRANCH_GAIN)
