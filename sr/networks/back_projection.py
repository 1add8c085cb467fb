"""Projection units: the parts that DBPN and RBPN share.

Haris, Shakhnarovich and Ukita 2018, "Deep Back-Projection Networks for Super-Resolution"
(arXiv 1803.02735), figure 3 and equations 1 to 10: a unit goes to the other resolution, back
again, and adds what the way back missed. The keys of the state dict (`up_conv1.deconv.weight`,
`down_conv2.act.weight`) are those of the authors' PyTorch code.

Deviation: the paper has no x3; its kernel, 7, is the one between x2's and x4's.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

PADDING = 2
KERNEL_SIZES = {2: 6, 3: 7, 4: 8, 8: 12}  # scale + 2 * PADDING: the size is scale times exactly


def check_scale(network: str, scale: int) -> None:
    """Raise ValueError where there is no projection kernel for the scale."""
    if scale not in KERNEL_SIZES:
        raise ValueError(f"{network}: expected a scale of 2, 3, 4 or 8, got {scale}")


def conv_prelu(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """PReLU(conv(x)), one slope; (B, in_channels, H, W) -> (B, out_channels, H, W)."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    return nn.Sequential(OrderedDict(conv=convolution, act=nn.PReLU()))


def plain_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """conv(x), under the key `conv` as the published code has it."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    return nn.Sequential(OrderedDict(conv=convolution))


def projecting_conv(scale: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """PReLU(conv(x)); (B, in_channels, scale*H, scale*W) -> (B, out_channels, H, W)."""
    kernel_size = KERNEL_SIZES[scale]
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, scale, PADDING)
    return nn.Sequential(OrderedDict(conv=convolution, act=nn.PReLU()))


def projecting_deconv(scale: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """PReLU(deconv(x)); (B, in_channels, H, W) -> (B, out_channels, scale*H, scale*W)."""
    kernel_size = KERNEL_SIZES[scale]
    deconvolution = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, scale, PADDING)
    return nn.Sequential(OrderedDict(deconv=deconvolution, act=nn.PReLU()))


class UpProjection(nn.Module):
    """H = D2(C(D1(L)) - L) + D1(L), Haris et al. 2018, equations 1 to 5.

    num_maps: how many maps are concatenated in the input; from 2 on a 1x1 convolution first
    squeezes them to one.
    """

    def __init__(self, scale: int, num_features: int, num_maps: int = 1) -> None:
        super().__init__()
        self.conv = _squeeze(num_features, num_maps)
        self.up_conv1 = projecting_deconv(scale, num_features, num_features)
        self.up_conv2 = projecting_conv(scale, num_features, num_features)
        self.up_conv3 = projecting_deconv(scale, num_features, num_features)

    def forward(self, maps: Tensor) -> Tensor:
        """maps: (B, num_maps*num_features, H, W).

        Returns (B, num_features, scale*H, scale*W).
        """
        low = self.conv(maps)
        high: Tensor = self.up_conv1(low)
        low_error = self.up_conv2(high) - low
        correction: Tensor = self.up_conv3(low_error)
        return high + correction

    @torch.no_grad()
    def scale_correction(self, gain: float) -> None:
        """Multiply the weights of D2."""
        self.up_conv3.get_parameter("deconv.weight").mul_(gain)


class DownProjection(nn.Module):
    """L = C2(D(C1(H)) - H) + C1(H), Haris et al. 2018, equations 6 to 10.

    num_maps: as in `UpProjection`.
    """

    def __init__(self, scale: int, num_features: int, num_maps: int = 1) -> None:
        super().__init__()
        self.conv = _squeeze(num_features, num_maps)
        self.down_conv1 = projecting_conv(scale, num_features, num_features)
        self.down_conv2 = projecting_deconv(scale, num_features, num_features)
        self.down_conv3 = projecting_conv(scale, num_features, num_features)

    def forward(self, maps: Tensor) -> Tensor:
        """maps: (B, num_maps*num_features, scale*H, scale*W).

        Returns (B, num_features, H, W).
        """
        high = self.conv(maps)
        low: Tensor = self.down_conv1(high)
        high_error = self.down_conv2(low) - high
        correction: Tensor = self.down_conv3(high_error)
        return low + correction

    @torch.no_grad()
    def scale_correction(self, gain: float) -> None:
        """Multiply the weights of C2."""
        self.down_conv3.get_parameter("conv.weight").mul_(gain)


def initialize_as_published(network: nn.Module) -> None:
    """Draw from Kaiming's normal distribution for every convolution, zero for every bias.

    PyTorch takes a deconvolution's outputs for its inputs and does not count its stride, so the
    weights are `scale` times smaller than Kaiming's rule wants. That keeps the sums of the units
    from growing from stage to stage, and is kept.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def _squeeze(num_features: int, num_maps: int) -> nn.Module:
    """1x1 convolution of several maps to one; nothing, without keys, for a single one."""
    return conv_prelu(num_maps * num_features, num_features, 1) if num_maps > 1 else nn.Identity()
