"""A network and all that running it over a picture of any size needs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.inference.tiles import Tile, split

OnTile = Callable[[int, int], None]
"""Called after each tile with how many are done and how many there are."""


DEFAULT_TILE_SIZE = 512
"""LR pixels a side. Larger tiles waste less on halos: where memory is kept (`sr.memory`), a CPU
takes the same time a pixel at 146 to 512 pixels a side. Compact at 512 takes about 0.2 GiB in
fp32, SRResNet about 3 GiB, reckoned from 10 kB a pixel.
"""


class Upscaler:
    """Runs a network over one picture, tile by tile, as if over the whole at once.

    network: (1, 3, h, w) -> (1, 3, scale*h, scale*w), RGB in [0, 1]; moved to `device`.
    halo: LR pixels read around each tile; the network's receptive radius for exact results.
    tile_size: LR pixels a side, halo not counted; 0 for the whole picture at once.
    dtype: float32, or bfloat16 or float16 for autocast.
    multiple: tiles begin at multiples of so many LR pixels.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        scale: int,
        halo: int,
        tile_size: int,
        device: torch.device,
        dtype: torch.dtype,
        multiple: int = 1,
    ) -> None:
        self.scale = scale
        self._multiple = multiple
        self.halo = halo
        self.tile_size = tile_size
        self.device = device
        self.dtype = dtype
        # Convolutions of CPUs and tensor cores are made for channels last; MPS is not.
        channels_last = device.type in ("cpu", "cuda")
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._network = network.eval().to(device).to(memory_format=self._layout)

    def num_tiles(self, height: int, width: int) -> int:
        """How many tiles a picture of this size takes."""
        return len(self._tiles(height, width))

    def __call__(self, lr: Tensor, on_tile: OnTile | None = None) -> Tensor:
        """Upscale one picture.

        lr: (1, 3, H, W), float32, RGB in [0, 1].
        Returns: (1, 3, scale*H, scale*W), float32, not clamped, in CPU memory.
        """
        if lr.ndim != 4 or lr.shape[:2] != (1, 3):
            raise ValueError(f"expected a picture (1, 3, H, W); came: {tuple(lr.shape)}")
        height, width = lr.shape[2:]
        tiles = self._tiles(height, width)
        sr = torch.empty(1, 3, self.scale * height, self.scale * width)
        for index, tile in enumerate(tiles):
            core = tile.core.scaled(self.scale)
            sr[:, :, core.rows, core.columns] = self._upscale_tile(lr, tile)
            if on_tile is not None:
                on_tile(index + 1, len(tiles))
        return sr

    def _tiles(self, height: int, width: int) -> list[Tile]:
        return split(
            height, width, tile_size=self.tile_size, halo=self.halo, multiple=self._multiple
        )

    def _upscale_tile(self, lr: Tensor, tile: Tile) -> Tensor:
        """The core of one tile: (1, 3, scale*core.height, scale*core.width), float32."""
        part = lr[:, :, tile.haloed.rows, tile.haloed.columns]
        part = part.to(self.device).contiguous(memory_format=self._layout)
        reduced = self.dtype != torch.float32
        autocast = torch.autocast(self.device.type, dtype=self.dtype, enabled=reduced)
        with torch.inference_mode(), autocast, _full_fp32():
            sr: Tensor = self._network(part)
        expected = (1, 3, self.scale * tile.haloed.height, self.scale * tile.haloed.width)
        if sr.shape != expected:
            came = tuple(sr.shape)
            raise ValueError(f"network of scale {self.scale}: expected {expected}; came: {came}")
        core = tile.core.relative_to(tile.haloed).scaled(self.scale)
        return sr[:, :, core.rows, core.columns].to(device="cpu", dtype=torch.float32)


def resample(picture: Tensor, height: int, width: int) -> Tensor:
    """Resize by bicubic interpolation, antialiased where it shrinks.

    picture: (1, 3, H, W). Returns: (1, 3, height, width), overshoots not clamped.
    """
    return functional.interpolate(
        picture, size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )


@contextmanager
def _full_fp32() -> Iterator[None]:
    """Keep cuDNN from TF32, its default, whose 10-bit mantissa would make fp32 a promise unkept."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
