"""A network and all that running it over an image of any size needs.

B images that are upscaled together, n tiles of a batch, s scale.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sr.device import choose_shared_device, hold_device, name_device
from sr.memory import is_out_of_memory, release_memory
from sr.motion.frame_window import Window
from sr.networks.packed_window import num_packed_channels
from sr.tiling.cut_batch import Patch, cut_batch, measure_area
from sr.tiling.read_ahead import Read, Write, read_ahead, write_behind
from sr.tiling.runner import NetworkRunner, OnWarning
from sr.tiling.tiles import Box, Tile, split_image

if TYPE_CHECKING:
    from sr.motion.methods import FlowMethod

OnTile = Callable[[int, int], None]
"""Called after each tile with how many are done and how many there are."""

ONLY_VIDEOS = (
    "this model looks at several frames, so it upscales videos, and frames as a pattern such as "
    "frames/%04d.png; not single images"
)

DEFAULT_TILE_SIZE = 512
"""LR pixels a side. Larger tiles waste less on halos: with `sr.memory.keep_freed_memory`, a CPU
takes the same time per pixel at 146 to 512 pixels a side. Compact at 512 takes about 0.2 GiB in
fp32, SRResNet about 3 GiB, computed from 10 kB per pixel.
"""

# Of the cores' area that was too much for the memory. What is larger is cut before it is tried. Of
# one image the cores differ little, and a half is at most 2/3 of one (3 multiples in 2 and 1).
_TOO_MUCH = 0.75


class StoppedError(Exception):
    """The run was stopped while an image was worked on; raised by `OnTile` callbacks."""


class Upscaler:
    """Runs a network over one image, tile by tile, as if over the whole at once.

    Where the memory does not suffice, tiles are cut and `tile_size` is lowered for good;
    where the precision does not, `dtype` is widened for good. Either is reported to `on_warning`.

    network: (n, 3, h, w) -> (n, 3, scale*h, scale*w), RGB in [0, 1]; moved to `device`.
    halo: LR pixels read around each tile; the network's receptive radius for exact results.
    tile_size: LR pixels a side, halo not counted; 0 for the whole image at once.
    dtype: float32, or bfloat16 or float16 for autocast.
    multiple: tiles begin at multiples of so many LR pixels.
    batch_size: how many consecutive tiles of one size go through the network together; for GPUs
    that small tiles do not fill.
    compiled: through torch.compile.
    network_device: where the network computes, if not on `device`, where its tensors are.
    window, flow: which frames the network takes next to the one that it upscales, and what measures
    the motion to them; None for a network of single images. With them, lr is a packed window
    everywhere but in `__call__` (`PackedWindow`).
    on_warning: the module's logger if None.
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
        batch_size: int = 1,
        compiled: bool = False,
        network_device: torch.device | None = None,
        window: Window | None = None,
        flow: "FlowMethod | None" = None,
        on_warning: OnWarning | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"expected a batch_size of 1 or more tiles, got {batch_size}")
        self.scale = scale
        self.multiple = multiple
        self.halo = halo
        self.tile_size = tile_size
        self.batch_size = batch_size
        self.device = device
        self.network_device = network_device or device
        self.window = window
        self.flow = flow
        self.num_channels = 3 if window is None else num_packed_channels(len(window.offsets))
        self._area_limit = math.inf
        self._on_warning = on_warning or logging.getLogger(__name__).warning
        self._runner = NetworkRunner(
            network,
            scale=scale,
            device=device,
            dtype=dtype,
            compiled=compiled,
            network_device=network_device,
            on_warning=self._on_warning,
        )

    @property
    def takes_clips(self) -> bool:
        """Whether the network looks at several frames, so that it upscales videos only."""
        return self.window is not None

    @property
    def dtype(self) -> torch.dtype:
        """The precision in use: the one given, or a wider one that some tile needed."""
        return self._runner.dtype

    def list_tiles(self, height: int, width: int) -> list[Tile]:
        """List the tiles of an image of this size, row by row."""
        return split_image(
            height, width, tile_size=self.tile_size, halo=self.halo, multiple=self.multiple
        )

    def __call__(self, lr: Tensor, on_tile: OnTile | None = None) -> Tensor:
        """Upscale one image.

        lr: (1, 3, H, W), float32, RGB in [0, 1].
        Returns: (1, 3, scale*H, scale*W), float32, not clamped, in CPU memory. Raises ValueError
        for a network that needs more than one image.
        """
        if self.takes_clips:
            raise ValueError(ONLY_VIDEOS)
        if lr.ndim != 4 or lr.shape[:2] != (1, 3):
            raise ValueError(f"expected an image (1, 3, H, W), got {tuple(lr.shape)}")
        return self.upscale_whole(lr, torch.device("cpu"), on_tile)

    def upscale_whole(
        self, lr: Tensor, device: torch.device, on_tile: OnTile | None = None
    ) -> Tensor:
        """Upscale B images that are in memory as a whole.

        lr: (B, 3, H, W), float32, RGB, in CPU memory or on the network's device.
        Returns: (B, 3, scale*H, scale*W), float32, not clamped, on `device`.
        """
        count, _, height, width = lr.shape
        shape = (count, 3, self.scale * height, self.scale * width)
        whole: list[Tensor] = []

        def read(box: Box) -> Tensor:
            return lr[:, :, box.rows, box.columns]

        def write(box: Box, part: Tensor) -> None:
            if part.shape == shape and part.device == device:
                whole.append(part)  # one tile is the image
                return
            if not whole:
                whole.append(torch.empty(shape, device=device))
            whole[0][:, :, box.rows, box.columns] = part

        self.upscale(height, width, read, write, on_tile)
        return whole[0]

    def upscale(
        self,
        height: int,
        width: int,
        read: Read,
        write: Write,
        on_tile: OnTile | None = None,
        *,
        tiles: Iterable[Tile] | None = None,
    ) -> None:
        """Upscale an image of height x width LR pixels that need not be in memory as a whole.

        tiles: the share of its tiles that is to be done here, each drawn when it is needed; all
        if None.

        Tiles come row by row: all of a row of tiles is written before the next row begins. The
        next tiles are read and the last ones written while one is computed. A tile that is cut
        for lack of memory is written in parts, but reported to `on_tile` as one, after the last.
        Raises MemoryError where the memory does not suffice for the smallest tiles either, and
        NumericError as `NetworkRunner`. Errors of read and write come out as they are.
        """
        whole = self.list_tiles(height, width)
        num_done = 0
        with (
            write_behind(write, self.device) as put,
            read_ahead(
                read,
                whole if tiles is None else tiles,
                self.device,
                num_ahead=self.batch_size,
                num_channels=self.num_channels,
            ) as patches,
        ):
            for batch in self._group_patches(patches):
                self._upscale_batch(batch, put)
                for _ in batch:
                    num_done += 1
                    if on_tile is not None:
                        on_tile(num_done, len(whole))

    def upscale_tile(self, patch: Patch) -> Tensor:
        """Upscale the core of one tile: (B, 3, scale*core.height, scale*core.width), float32.

        On the device, or instead of MPS on the CPU. The tile is not cut if that takes too much
        memory.
        """
        (core,) = self._run_batch([patch])
        return core

    def _group_patches(self, patches: Iterator[Patch]) -> Iterator[list[Patch]]:
        """Yield consecutive patches of one shape, `batch_size` at most."""
        batch: list[Patch] = []
        for tile, lr in patches:
            if batch and lr.shape != batch[0][1].shape:
                yield batch
                batch = []
            batch.append((tile, lr))
            if len(batch) >= self.batch_size:  # without waiting for the next to be read
                yield batch
                batch = []
        if batch:
            yield batch

    def _upscale_batch(self, batch: list[Patch], put: Write) -> None:
        """Upscale a batch and write its parts; it is cut until they fit the memory."""
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            smaller = cut_batch(part, halo=self.halo, multiple=self.multiple)
            if smaller and measure_area(part) > self._area_limit:
                waiting += reversed(smaller)
                continue
            try:
                cores = self._run_batch(part)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                cores, reason = [], str(error)
            if not cores:  # out here, where no traceback holds the tensors any more
                self._lower_tile_size(part, smaller, reason)
                waiting.append(part)
            for (tile, _), core in zip(part, cores, strict=False):
                put(tile.core.multiply(self.scale), core)

    def _run_batch(self, batch: list[Patch]) -> list[Tensor]:
        """Upscale each patch's core: (B, 3, s*core.height, s*core.width), float32.

        The results are where other threads may use them: on the device, or instead of MPS on the
        CPU.
        """
        with hold_device(self.device):
            # Each is pinned memory of its own, which put together in CPU memory would be lost.
            patches = [lr.to(self.device, non_blocking=True) for _, lr in batch]
            lr = torch.cat(patches) if len(patches) > 1 else patches[0]
            sr = self._runner(lr)  # (n*B, 3, s*h, s*w)
            cores = []
            for (tile, _), part in zip(batch, sr.chunk(len(batch)), strict=True):
                core = tile.core.relative_to(tile.haloed).multiply(self.scale)
                # Copied, so that the result is an ordinary tensor and does not keep the halo.
                core_sr = part[:, :, core.rows, core.columns].to(torch.float32, copy=True)
                cores.append(core_sr.to(choose_shared_device(self.device)))
        return cores

    def _lower_tile_size(self, batch: list[Patch], smaller: list[list[Patch]], reason: str) -> None:
        """Take smaller batches, then tiles, from here on. Raises MemoryError at the smallest."""
        release_memory(self.device)
        haloed = batch[0][0].haloed
        size = f"{haloed.width}x{haloed.height} LR pixels"
        if not smaller:
            name = name_device(self.network_device)
            message = f"not enough memory on {name} for a tile of {size} and halo"
            raise MemoryError(f"{message}: {reason.splitlines()[0]}" if reason else message)
        self._area_limit = _TOO_MUCH * measure_area(batch)
        if len(batch) > 1:
            self.batch_size = len(batch) // 2
            self._on_warning(
                f"not enough memory for {len(batch)} tiles of {size}; from here on "
                f"{self.batch_size} at a time"
            )
            return
        # The square of the larger half's area, whose halo is no larger than the half's.
        side = math.isqrt(measure_area(smaller[0])) // self.multiple * self.multiple
        self.tile_size, self.batch_size = max(side, self.multiple), 1
        self._on_warning(
            f"not enough memory for a tile of {size}; from here on tiles of {self.tile_size}"
        )
