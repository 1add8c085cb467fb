"""SRResNet: the generator of SRGAN.

Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
Network" (arXiv 1609.04802), figure 4: 9x9 convolution, residual blocks with batch normalization,
a long skip from the first activation, sub-pixel convolutions, 9x9 convolution.

Deviations: lr and sr are both in [0, 1] (the paper's HR is in [-1, 1]); x3 is one shuffle by 3,
which the paper does not have; the last convolution has no activation.
"""

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x))))); convolutions without bias, PReLU with one slope."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(num_features, num_features, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_features),
            nn.PReLU(),
            nn.Conv2d(num_features, num_features, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_features),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns the same shape."""
        residual: Tensor = self.body(x)
        return x + residual


class SRResNet(nn.Module):
    """SRResNet with `num_blocks` residual blocks; 1,547,350 parameters at x4 with 16 blocks."""

    def __init__(self, scale: int, num_features: int = 64, num_blocks: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(3, num_features, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(num_features) for _ in range(num_blocks)))
        self.fusion = nn.Sequential(
            nn.Conv2d(num_features, num_features, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_features),
        )
        stages: list[nn.Module] = []
        for factor in _shuffle_factors(scale):
            stages.append(nn.Conv2d(num_features, num_features * factor**2, 3, padding=1))
            stages.append(nn.PixelShuffle(factor))
            stages.append(nn.PReLU())
        self.upsampling = nn.Sequential(*stages)
        self.tail = nn.Conv2d(num_features, 3, 9, padding=4)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        shallow = self.head(lr)
        deep = shallow + self.fusion(self.blocks(shallow))
        sr: Tensor = self.tail(self.upsampling(deep))
        return sr


def _shuffle_factors(scale: int) -> list[int]:
    """2, 4 and 8 are reached by shuffles of 2, 3 by one of 3."""
    return [3] if scale == 3 else [2] * (scale.bit_length() - 1)
