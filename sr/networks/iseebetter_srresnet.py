"""The SRResNet of iSeeBetter's repository, for the SRGAN generators that were trained with it.

Chadha et al. 2020, "iSeeBetter: Spatio-temporal video super-resolution using recurrent generative
back-projection networks" (arXiv 2006.11161), whose code has it from Leftthomas' SRGAN. The keys of
the state dict (`block1.0.weight`) are the published ones, so published files load.

It differs from the paper's SRResNet (Ledig et al. 2017, figure 4; `srresnet.py`): 5 residual
blocks, convolutions with bias before batch normalization, PReLU in place of batch normalization
before the long skip, and the result squeezed into [0, 1] by (tanh(x) + 1) / 2.
"""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x)))))."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(num_features)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(num_features)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns the same shape."""
        residual: Tensor = self.bn2(self.conv2(self.prelu(self.bn1(self.conv1(x)))))
        return x + residual


class _Upsampling(nn.Module):
    """PReLU(shuffle(conv(x))), twice as large."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_features, 4 * num_features, 3, padding=1)
        self.pixel_shuffle = nn.PixelShuffle(2)
        self.prelu = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns (B, num_features, 2*H, 2*W)."""
        sr: Tensor = self.prelu(self.pixel_shuffle(self.conv(x)))
        return sr


class ISeeBetterSRResNet(nn.Module):
    """SRResNet as iSeeBetter has it: 734,092 parameters at x4, 586,379 at x2; scales 2, 4, 8."""

    def __init__(self, scale: int, num_features: int = 64) -> None:
        super().__init__()
        if scale not in (2, 4, 8):
            raise ValueError(f"ISeeBetterSRResNet: expected a scale of 2, 4 or 8, got {scale}")
        self.scale = scale
        self.block1 = nn.Sequential(nn.Conv2d(3, num_features, 9, padding=4), nn.PReLU())
        self.block2 = ResidualBlock(num_features)
        self.block3 = ResidualBlock(num_features)
        self.block4 = ResidualBlock(num_features)
        self.block5 = ResidualBlock(num_features)
        self.block6 = ResidualBlock(num_features)
        self.block7 = nn.Sequential(nn.Conv2d(num_features, num_features, 3, padding=1), nn.PReLU())
        stages = [_Upsampling(num_features) for _ in range(scale.bit_length() - 1)]
        self.block8 = nn.Sequential(*stages, nn.Conv2d(num_features, 3, 9, padding=4))

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), RGB in [0, 1]."""
        shallow = self.block1(lr)
        x = shallow
        for block in (self.block2, self.block3, self.block4, self.block5, self.block6):
            x = block(x)
        sr: Tensor = self.block8(shallow + self.block7(x))
        return (torch.tanh(sr) + 1) / 2
