"""MSRResNet: SRResNet without batch normalization, on top of the bilinear enlargement.

The network of Wang et al., "BasicSR: Open Source Image and Video Restoration Toolbox" (2018 on),
where it replaces the SRResNet of Ledig et al. 2017 (arXiv 1609.04802, figure 4): residual blocks
as in figure 2c of Lim et al. 2017 (EDSR, arXiv 1707.02921), 3x3 instead of 9x9 convolutions, leaky
ReLU instead of PReLU, no convolution and no long skip around the blocks, one more convolution at
the size of sr, and the bilinear enlargement of lr added to the result. The keys of the state dict
(`body.N.conv1.weight`) are BasicSR's, so its files load.

Deviations: x8, which BasicSR does not have, is a third convolution and shuffle, `upconv3`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAKY_SLOPE = 0.1  # as in BasicSR
INITIAL_GAIN = 0.1  # of Kaiming's initialization, in all layers, as in BasicSR

SHUFFLE_FACTORS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}  # by scale


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv2 = nn.Conv2d(num_features, num_features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns the same shape."""
        residual: Tensor = self.conv2(self.conv1(x).relu_())
        return x + residual


class MSRResNet(nn.Module):
    """MSRResNet with `num_blocks` residual blocks; scales 2, 3, 4 and 8.

    With 64 features and 16 blocks 1,369,859 parameters at x2, 1,554,499 at x3, 1,517,571 at x4
    and 1,665,283 at x8. Receptive radius 2 LR pixels a block and 3.
    """

    def __init__(self, scale: int, num_features: int = 64, num_blocks: int = 16) -> None:
        super().__init__()
        if scale not in SHUFFLE_FACTORS:
            raise ValueError(f"MSRResNet: expected a scale of 2, 3, 4 or 8, got {scale}")
        self.scale = scale
        self.conv_first = nn.Conv2d(3, num_features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(num_features) for _ in range(num_blocks)))
        for number, factor in enumerate(SHUFFLE_FACTORS[scale], start=1):
            upconv = nn.Conv2d(num_features, num_features * factor**2, 3, padding=1)
            self.add_module(f"upconv{number}", upconv)
        self.conv_hr = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv_last = nn.Conv2d(num_features, 3, 3, padding=1)
        self._initialize()

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        x = self.body(_activate(self.conv_first(lr)))
        for number, factor in enumerate(SHUFFLE_FACTORS[self.scale], start=1):
            upconv = self.get_submodule(f"upconv{number}")
            x = _activate(functional.pixel_shuffle(upconv(x), factor))
        residual: Tensor = self.conv_last(_activate(self.conv_hr(x)))
        base = functional.interpolate(
            lr, scale_factor=float(self.scale), mode="bilinear", align_corners=False
        )
        return residual + base

    @torch.no_grad()
    def _initialize(self) -> None:
        """Start near the bilinear enlargement: every layer at a tenth of the usual size."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight).mul_(INITIAL_GAIN)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)


def _activate(x: Tensor) -> Tensor:
    """LeakyReLU, in the memory of x."""
    return functional.leaky_relu(x, LEAKY_SLOPE, inplace=True)
