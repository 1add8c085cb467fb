"""RLFN: residual blocks of three convolutions, each followed by attention from a coarse map.

Kong et al. 2022, "Residual Local Feature Network for Efficient Super-Resolution" (arXiv
2205.07514), figures 2 and 3; the attention is ESA of Liu et al. 2020, "Residual Feature
Aggregation Network for Image Super-Resolution", reduced as in figure 3. With 52 features and 6
blocks it is the paper's RLFN; with 46 features, 48 inside of the blocks and 4 blocks the winner of
NTIRE 2022's efficient track. The keys of the state dict (`block_N.c1_r.weight`) are those of the
published code, bytedance/RLFN.

The attention stretches a map of about a sixth of the size over the whole image, so what it adds
at a pixel depends on the height and width of lr: a tile never gives exactly the whole image's
result, however wide its halo.

Deviations: lr of less than MIN_SIZE pixels per side, for which the published code has no map, is
padded below and at the right by repetition of its edge, and the result is cropped. The published
files take and give colors in [0, 255]; `value_range` 255 says so, and the factors are here.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.pixel_shuffle import PixelShuffle

LEAKY_SLOPE = 0.05  # as in the published code
MIN_SIZE = 15  # LR pixels: conv2 makes 7 of them, which are the window of one maximum


class ESA(nn.Module):
    """x * sigmoid of a map of its neighborhood: enhanced spatial attention."""

    def __init__(self, num_features: int, num_esa_features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_features, num_esa_features, 1)
        self.conv_f = nn.Conv2d(num_esa_features, num_esa_features, 1)
        self.conv2 = nn.Conv2d(num_esa_features, num_esa_features, 3, stride=2)
        self.conv3 = nn.Conv2d(num_esa_features, num_esa_features, 3, padding=1)
        self.conv4 = nn.Conv2d(num_esa_features, num_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W), sides of MIN_SIZE or more. Returns the same shape."""
        reduced = self.conv1(x)
        coarse = functional.max_pool2d(self.conv2(reduced), kernel_size=7, stride=3)
        coarse = functional.interpolate(self.conv3(coarse), x.shape[-2:], mode="bilinear")
        return x * torch.sigmoid(self.conv4(coarse + self.conv_f(reduced)))


class RLFB(nn.Module):
    """ESA(conv1x1(F(x) + x)), where F is three convolutions, each with a LeakyReLU."""

    def __init__(self, num_features: int, num_inner_features: int, num_esa_features: int) -> None:
        super().__init__()
        self.c1_r = nn.Conv2d(num_features, num_inner_features, 3, padding=1)
        self.c2_r = nn.Conv2d(num_inner_features, num_inner_features, 3, padding=1)
        self.c3_r = nn.Conv2d(num_inner_features, num_features, 3, padding=1)
        self.c5 = nn.Conv2d(num_features, num_features, 1)
        self.esa = ESA(num_features, num_esa_features)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W), sides of MIN_SIZE or more. Returns the same shape."""
        residual = _activate(self.c1_r(x))
        residual = _activate(self.c2_r(residual))
        residual = _activate(self.c3_r(residual))
        attended: Tensor = self.esa(self.c5(residual + x))
        return attended


class RLFN(nn.Module):
    """RLFN with `num_blocks` blocks, `block_1` and so on.

    543,740 parameters at x4 with 52 features and 6 blocks; 317,218 with 46 features, 48 inside and
    4 blocks. It sees as far as the whole image.
    """

    def __init__(
        self,
        scale: int,
        num_features: int = 52,
        num_blocks: int = 6,
        num_inner_features: int | None = None,
        num_esa_features: int = 16,
        value_range: Literal[1, 255] = 1,
    ) -> None:
        """num_inner_features: between a block's convolutions; None for num_features.

        value_range: largest color inside. The published weights expect 255; another one is in the
        state dict as `value_range`, because the other weights do not show it.
        """
        super().__init__()
        self.scale = scale
        self._value_range = float(value_range)
        if value_range != 255:
            self.register_buffer("value_range", torch.tensor([float(value_range)]))
        num_inner = num_features if num_inner_features is None else num_inner_features
        self.conv_1 = nn.Conv2d(3, num_features, 3, padding=1)
        self._num_blocks = num_blocks
        for name in self._block_names():
            self.add_module(name, RLFB(num_features, num_inner, num_esa_features))
        self.conv_2 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.upsampler = nn.Sequential(
            nn.Conv2d(num_features, 3 * scale**2, 3, padding=1), PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        height, width = lr.shape[-2:]
        shallow = self.conv_1(self.pad_to_fit(lr) * self._value_range)
        deep = shallow
        for block in self._blocks():
            deep = block(deep)
        sr: Tensor = self.upsampler(self.conv_2(deep) + shallow) / self._value_range
        return sr[..., : self.scale * height, : self.scale * width]

    def pad_to_fit(self, lr: Tensor) -> Tensor:
        """Return lr, (B, 3, H, W), with its last row and column repeated up to MIN_SIZE.

        Without a branch, for exporters.
        """
        height, width = lr.shape[-2:]
        right, below = torch.sym_max(MIN_SIZE - width, 0), torch.sym_max(MIN_SIZE - height, 0)
        # torch has no type for the integers of an export.
        return functional.pad(lr, (0, right, 0, below), mode="replicate")  # type: ignore[arg-type]

    def _block_names(self) -> Iterator[str]:
        return (f"block_{number}" for number in range(1, self._num_blocks + 1))

    def _blocks(self) -> Iterator[nn.Module]:
        return (self.get_submodule(name) for name in self._block_names())


def _activate(x: Tensor) -> Tensor:
    """LeakyReLU, in the memory of x."""
    return functional.leaky_relu(x, LEAKY_SLOPE, inplace=True)
