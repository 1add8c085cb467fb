"""RRDBNet: the generator of ESRGAN and Real-ESRGAN.

Wang et al. 2018, "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (arXiv
1809.00219), section 3.1 and figures 3 and 4: residual in residual dense blocks without batch
normalization, then enlargements by nearest neighbor, each followed by a convolution. x2 and x1
are those of Wang et al. 2021, "Real-ESRGAN" (arXiv 2107.10833), section 3.4 and figure 4: the x4
network, after lr is folded into 4 or 16 times as many channels (pixel-unshuffle). The keys of the
state dict (`body.N.rdb1.conv1.weight`) are those of RRDBNet in BasicSR, so files of Real-ESRGAN
load; those of the first ESRGAN release (`RRDB_trunk.N.RDB1.conv1.weight`) have other keys.

Folding makes the result depend on where lr begins: a tile gives the whole image's result only
if it begins at multiples of 2 (x2) or 4 (x1) pixels.

Deviations: at x2 and x1, lr whose sides are not multiples of 2 or 4 is padded below and at the
right by repetition of its edge, and the result is cropped; Real-ESRGAN does so outside of the
network, by reflection. x8, which neither paper has, is x4 with a
third enlargement and convolution, `conv_up3`. There is no x3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.padding import pad_to_multiple

LEAKY_SLOPE = 0.2  # as in the released code
RESIDUAL_SCALE = 0.2  # beta of figure 4 in Wang et al. 2018; the value is the released code's
INITIAL_GAIN = 0.1  # of Kaiming's initialization, in dense blocks; as in the released code

UNSHUFFLE_FACTORS = {1: 4, 2: 2, 4: 1, 8: 1}  # by scale; lr is folded by it
NUM_DOUBLINGS = {1: 2, 2: 2, 4: 2, 8: 3}  # by scale, after the folding


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of all results before it; x + 0.2 * the last one's result."""

    def __init__(self, num_features: int, num_growth: int) -> None:
        super().__init__()
        widths = [num_features + n * num_growth for n in range(5)]
        self.conv1 = nn.Conv2d(widths[0], num_growth, 3, padding=1)
        self.conv2 = nn.Conv2d(widths[1], num_growth, 3, padding=1)
        self.conv3 = nn.Conv2d(widths[2], num_growth, 3, padding=1)
        self.conv4 = nn.Conv2d(widths[3], num_growth, 3, padding=1)
        self.conv5 = nn.Conv2d(widths[4], num_features, 3, padding=1)
        self._initialize()

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns the same shape."""
        x1 = _activate(self.conv1(x))
        x2 = _activate(self.conv2(torch.cat((x, x1), 1)))
        x3 = _activate(self.conv3(torch.cat((x, x1, x2), 1)))
        x4 = _activate(self.conv4(torch.cat((x, x1, x2, x3), 1)))
        residual: Tensor = self.conv5(torch.cat((x, x1, x2, x3, x4), 1))
        return x + RESIDUAL_SCALE * residual

    @torch.no_grad()
    def _initialize(self) -> None:
        """Start near the identity."""
        for layer in self.children():
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight).mul_(INITIAL_GAIN)
            nn.init.zeros_(layer.bias)


class RRDB(nn.Module):
    """Residual in residual dense block: x + 0.2 * (three dense blocks, one after another, of x).

    The blocks pass x on, so that it counts 1.2 times; as in the released code.
    """

    def __init__(self, num_features: int, num_growth: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(num_features, num_growth)
        self.rdb2 = ResidualDenseBlock(num_features, num_growth)
        self.rdb3 = ResidualDenseBlock(num_features, num_growth)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns the same shape."""
        residual: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + RESIDUAL_SCALE * residual


class RRDBNet(nn.Module):
    """RRDBNet with `num_blocks` blocks of three dense blocks; scales 1, 2, 4 and 8.

    With 64 features and a growth of 32: 16,697,987 parameters at x4 with 23 blocks, 4,467,779
    with 6; 5,184 more at x2, 25,920 more at x1, 36,928 more at x8. Receptive radius at x4 and x8
    15 LR pixels a block and 4; twice that at x2, four times at x1.
    """

    def __init__(
        self, scale: int, num_features: int = 64, num_blocks: int = 23, num_growth: int = 32
    ) -> None:
        super().__init__()
        if scale not in UNSHUFFLE_FACTORS:
            raise ValueError(f"RRDBNet: expected a scale of 1, 2, 4 or 8, got {scale}")
        self.scale = scale
        self.size_multiple = UNSHUFFLE_FACTORS[scale]
        folded = 3 * self.size_multiple**2
        self.conv_first = nn.Conv2d(folded, num_features, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(num_features, num_growth) for _ in range(num_blocks)))
        self.conv_body = nn.Conv2d(num_features, num_features, 3, padding=1)
        for number in range(1, NUM_DOUBLINGS[scale] + 1):
            conv_up = nn.Conv2d(num_features, num_features, 3, padding=1)
            self.add_module(f"conv_up{number}", conv_up)
        self.conv_hr = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv_last = nn.Conv2d(num_features, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        height, width = lr.shape[-2:]
        factor = self.size_multiple
        shallow = self.conv_first(functional.pixel_unshuffle(pad_to_multiple(lr, factor), factor))
        x = shallow + self.conv_body(self.body(shallow))
        for number in range(1, NUM_DOUBLINGS[self.scale] + 1):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = _activate(self.get_submodule(f"conv_up{number}")(x))
        sr: Tensor = self.conv_last(_activate(self.conv_hr(x)))
        return sr[..., : self.scale * height, : self.scale * width]


def _activate(x: Tensor) -> Tensor:
    """LeakyReLU, in the memory of x."""
    return functional.leaky_relu(x, LEAKY_SLOPE, inplace=True)
