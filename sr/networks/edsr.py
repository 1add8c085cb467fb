"""EDSR: residual blocks without batch normalization.

Lim et al. 2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution" (arXiv
1707.02921), figures 2c and 3, sections 3.1 and 3.2: two convolutions a block, their result scaled
before it is added, a long skip around all blocks, sub-pixel convolutions without activation.
The keys of the state dict (`body.N.conv1.weight`) are those of EDSR in BasicSR, so files trained
there load; the authors' own files (`head.0.weight`) have other keys.

Deviations: lr and sr are in [0, 1] and the paper's range of [0, 255] is inside, where it sets how
fast the first and the last layer learn; x8 is three shuffles by 2, as in the authors' code, which
the paper does not have. No self-ensemble (section 3.4) and not the multi-scale MDSR.
"""

import torch
from torch import Tensor, nn

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K's pixels; section 4.2 and the authors' code
RGB_RANGE = 255.0  # of the pixels inside the network, as in the authors' code

SHUFFLE_FACTORS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}  # by scale; figure 3, right


class ResidualBlock(nn.Module):
    """x + residual_scale * conv(ReLU(conv(x)))."""

    def __init__(self, num_features: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv2 = nn.Conv2d(num_features, num_features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns the same shape."""
        residual: Tensor = self.conv2(self.conv1(x).relu_())
        return x + residual * self.residual_scale


class EDSR(nn.Module):
    """EDSR with `num_blocks` residual blocks; scales 2, 3, 4 and 8.

    Baseline (64 features, 16 blocks, residuals not scaled): 1,369,859 parameters at x2, 1,554,499
    at x3, 1,517,571 at x4 and 1,665,283 at x8. The large one (256, 32, scaled by 0.1): 40,729,603,
    43,680,003, 43,089,923 and 45,450,243. Receptive radius 2 LR pixels a block and 4.
    """

    mean: Tensor  # (1, 3, 1, 1)

    def __init__(
        self,
        scale: int,
        num_features: int = 64,
        num_blocks: int = 16,
        residual_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if scale not in SHUFFLE_FACTORS:
            raise ValueError(f"EDSR: expected a scale of 2, 3, 4 or 8, got {scale}")
        self.scale = scale
        mean = torch.tensor(RGB_MEAN).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.conv_first = nn.Conv2d(3, num_features, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(num_features, residual_scale) for _ in range(num_blocks))
        )
        self.conv_after_body = nn.Conv2d(num_features, num_features, 3, padding=1)
        stages: list[nn.Module] = []
        for factor in SHUFFLE_FACTORS[scale]:
            stages.append(nn.Conv2d(num_features, num_features * factor**2, 3, padding=1))
            stages.append(nn.PixelShuffle(factor))
        self.upsample = nn.Sequential(*stages)
        self.conv_last = nn.Conv2d(num_features, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        shallow = self.conv_first((lr - self.mean) * RGB_RANGE)
        deep = shallow + self.conv_after_body(self.body(shallow))
        sr: Tensor = self.conv_last(self.upsample(deep))
        return sr / RGB_RANGE + self.mean
