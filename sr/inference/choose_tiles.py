"""Halo, tile size and batch size for a network, from how far it sees and the free memory."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from sr.inference.options import RuntimeOptions
from sr.models.composite import is_radius_known, limit_radius
from sr.models.loaded_model import LoadedGenerator
from sr.models.ncnn_network import NcnnNetwork
from sr.networks.composite import Resampler
from sr.tiling.auto_tile_size import MIN_TILE_SIZE, SHARE, choose_batch_size, choose_tile_size

NUM_PATCHES = 2  # of a box: colors and alpha
MAX_DEFAULT_HALO = 32  # LR pixels; very deep networks hardly look farther than this
_RESAMPLED_SIZE = 2048  # pixels a side of a tile's result, of enlargement without a network


@dataclass(frozen=True)
class TileMemory:
    """What the size of tiles depends on next to the network. num_sharing: of the device."""

    halo: int
    device: torch.device
    dtype: torch.dtype
    num_sharing: int = 1

    @property
    def share(self) -> float:
        """Of the free memory."""
        return SHARE / self.num_sharing


def choose_halo(
    generator: LoadedGenerator, runtime: RuntimeOptions, warn: Callable[[str], None]
) -> int:
    """Return the LR pixels to read around tiles, and warn of too few that are asked for."""
    radius = generator.receptive_radius
    usual = radius if runtime.exact else limit_radius(generator, MAX_DEFAULT_HALO)
    if runtime.halo is None:
        return usual
    if runtime.halo < usual:
        sees = f"{radius} px" if is_radius_known(generator) else f"{radius} px or more"
        warn(f"--halo {runtime.halo}: the network sees {sees} far, so tiles may show seams")
    return runtime.halo


def choose_tiles(
    generator: LoadedGenerator, network: nn.Module, memory: TileMemory, tile_size: int | None
) -> tuple[int, int]:
    """Return tile size and batch size. tile_size: the one that is asked for, if any.

    network: the generator's, or what stands for it.
    """
    if tile_size is None:
        tile_size = 0 if generator.tiling == "internal" else _choose(generator, network, memory)
    batch_size = choose_batch_size(
        network,
        tile_size,
        scale=generator.scale,
        halo=memory.halo,
        device=memory.device,
        dtype=memory.dtype,
        num_channels=generator.num_channels,
        num_patches=NUM_PATCHES,
        share=memory.share,
    )
    return tile_size, batch_size


def _choose(generator: LoadedGenerator, network: nn.Module, memory: TileMemory) -> int:
    multiple = generator.size_multiple
    if isinstance(generator.network, NcnnNetwork):
        return generator.network.choose_tile_size(
            halo=memory.halo, multiple=multiple, dtype=memory.dtype, share=memory.share
        )
    if isinstance(generator.network, Resampler):
        return max(_RESAMPLED_SIZE // generator.scale, MIN_TILE_SIZE)
    if generator.parts and _is_foreign(generator):
        # Memory of other runtimes is not seen: each part's own limit, in the first one's pixels.
        sizes = [
            _choose(part, part.network, memory) // input_scale
            for part, input_scale in zip(generator.parts, generator.input_scales, strict=True)
        ]
        return max(min(sizes) // multiple, 1) * multiple
    return choose_tile_size(
        network,
        scale=generator.scale,
        halo=memory.halo,
        device=memory.device,
        dtype=memory.dtype,
        multiple=multiple,
        num_channels=generator.num_channels,
        num_patches=NUM_PATCHES,
        share=memory.share,
    )


def _is_foreign(generator: LoadedGenerator) -> bool:
    """Return whether nothing of it computes in torch, or resamples only."""
    return next(generator.network.parameters(), None) is None
