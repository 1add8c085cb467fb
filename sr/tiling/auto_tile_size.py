"""How much memory a network takes per pixel, measured; tile and batch size follow from it."""

from collections.abc import Iterable
from math import isqrt
from typing import Any
from weakref import WeakKeyDictionary

import psutil
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from sr.tiling.read_ahead import NUM_WAITING
from sr.tiling.runner import prepare_network, run_network
from sr.tiling.upscaler import DEFAULT_TILE_SIZE

SHARE = 0.5  # of the free memory; the rest is for images as files, and for other programs
# Process memory over live tensors on a CPU where freed memory is kept (benchmarks/README.md). On
# a GPU nobody has measured it; the allocator there keeps freed blocks likewise.
OVERHEAD = 1.6
MIN_TILE_SIZE = 32  # LR pixels
# LR pixels; elsewhere DEFAULT_TILE_SIZE, see its comment. A frame of 1920x1080 in one piece spares
# halos, and the waiting between tiles.
MAX_TILE_SIZE = {"cuda": 1920}
FILLING_SIZE = 256  # LR pixels a side of a tile that keeps a GPU busy; not measured
# Some kernels of GPUs do not index more. No tensor is more than half of the peak, as what it is
# made from lives at the same time, or what is made from it; and there may be two patches.
_MAX_ELEMENTS = 2**31
# LR pixels of the two squares that are tried. Convolutions on CUDA have workspaces, which grow
# with the pixels only from some size on.
_PROBED_SIZES = {"cuda": (128, 256)}
_PROBED_SIZES_ELSEWHERE = (32, 64)

_Reference: Any = StorageWeakRef  # untyped in torch; equal if of one storage

_measured: WeakKeyDictionary[nn.Module, dict[tuple[torch.device, torch.dtype], float]] = (
    WeakKeyDictionary()
)


def measure_bytes_per_pixel(
    network: nn.Module, device: torch.device, dtype: torch.dtype, num_channels: int = 3
) -> float:
    """Measure the bytes of live tensors per LR pixel of a patch, halo included, at a pass's peak.

    The difference between two sizes, so that what does not depend on the size falls out. Exact
    for convolutions; attention over the whole patch takes more at large sizes. Measured once for
    each network, device and precision. The network is moved to the device. num_channels: of a
    patch.
    """
    known = _measured.setdefault(network, {})
    if (device, dtype) not in known:
        small, large = _PROBED_SIZES.get(device.type, _PROBED_SIZES_ELSEWHERE)
        prepared = prepare_network(network, device)
        patches = [_probe(side, device, num_channels) for side in (small, large)]
        least = 0.0
        if device.type != "cpu":
            # Libraries allocate scratch memory at their first call, and keep it: not in a peak.
            results = [run_network(prepared, patch, dtype) for patch in patches]
            least = results[-1].nbytes / large**2
            del results
        peaks = [measure_peak_bytes(prepared, patch, dtype) for patch in patches]
        known[device, dtype] = max((peaks[1] - peaks[0]) / (large**2 - small**2), least)
    return known[device, dtype]


def measure_peak_bytes(network: nn.Module, lr: Tensor, dtype: torch.dtype) -> int:
    """Measure the bytes at the peak of one pass, with lr and the result, without the weights.

    On CUDA what the allocator gave away; its statistics of the peak are reset. Elsewhere the
    storages of the tensors alive after each operation; an operation's own scratch memory is not
    seen there. lr: (1, C, h, w).
    """
    if lr.device.type == "cuda":
        torch.cuda.synchronize(lr.device)
        torch.cuda.reset_peak_memory_stats(lr.device)
        before = torch.cuda.memory_allocated(lr.device) - lr.nbytes
        run_network(network, lr, dtype)
        torch.cuda.synchronize(lr.device)
        return torch.cuda.max_memory_allocated(lr.device) - before
    live = _LiveBytes([*network.parameters(), *network.buffers()])
    live.add(lr)
    with live:
        run_network(network, lr, dtype)
    return live.peak


def choose_tile_size(
    network: nn.Module,
    *,
    scale: int,
    halo: int,
    device: torch.device,
    dtype: torch.dtype,
    multiple: int = 1,
    num_channels: int = 3,
    num_patches: int = 1,
    share: float = SHARE,
) -> int:
    """Return the largest tile size, in LR pixels without halo, for `share` of the free memory.

    A multiple of `multiple` from MIN_TILE_SIZE, even if that does not fit, to MAX_TILE_SIZE.
    DEFAULT_TILE_SIZE for a network without weights that torch sees, since another runtime's
    memory is not seen either.

    num_channels: of a patch. num_patches: how many go through the network at once: batch size times
    images of a box.
    """
    if not _has_weights(network):
        return DEFAULT_TILE_SIZE
    halo = -(-halo // multiple) * multiple
    pixels = _count_pixels(network, scale, device, dtype, num_channels, num_patches, share)
    side = isqrt(pixels) - 2 * halo
    largest = MAX_TILE_SIZE.get(device.type, DEFAULT_TILE_SIZE)
    side = min(max(side, MIN_TILE_SIZE), largest)
    return max(side // multiple, 1) * multiple


def choose_batch_size(
    network: nn.Module,
    tile_size: int,
    *,
    scale: int,
    halo: int,
    device: torch.device,
    dtype: torch.dtype,
    num_channels: int = 3,
    num_patches: int = 1,
    share: float = SHARE,
) -> int:
    """Return how many tiles go through the network together: small ones do not fill a GPU.

    No more than `share` of the free memory suffices for. num_patches: images of a box.
    """
    if device.type != "cuda" or not 0 < tile_size <= FILLING_SIZE // 2:
        return 1
    wanted = (FILLING_SIZE // tile_size) ** 2
    if not _has_weights(network):
        return wanted
    pixels = _count_pixels(network, scale, device, dtype, num_channels, num_patches, share)
    return min(max(pixels // (tile_size + 2 * halo) ** 2, 1), wanted)


def count_free_bytes(device: torch.device) -> int:
    """Return the memory that tensors on `device` can still take without harm to other programs."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + kept)
    return int(psutil.virtual_memory().available)  # MPS shares it


def _has_weights(network: nn.Module) -> bool:
    """Return False where another runtime computes, whose memory torch does not see."""
    return next(network.parameters(), None) is not None


def _count_pixels(
    network: nn.Module,
    scale: int,
    device: torch.device,
    dtype: torch.dtype,
    num_channels: int,
    num_patches: int,
    share: float,
) -> int:
    """Return for how many LR pixels of a patch, halo included, the memory suffices."""
    computed = measure_bytes_per_pixel(network, device, dtype, num_channels)
    # Next to a pass: one patch read ahead, and the results that wait to be written.
    waiting = torch.float32.itemsize * (num_channels + 3 * (NUM_WAITING + 1) * scale**2)
    fitting = share * count_free_bytes(device) / (OVERHEAD * num_patches * (computed + waiting))
    if device.type == "cuda":
        fitting = min(fitting, _MAX_ELEMENTS * dtype.itemsize / computed)
    return int(fitting)


def _probe(side: int, device: torch.device, num_channels: int) -> Tensor:
    """(1, num_channels, side, side), random, in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, num_channels, side, side, generator=generator).to(device)


class _LiveBytes(TorchFunctionMode):
    """Counts the bytes of tensors that torch's functions return while they live.

    What a function of torch makes and drops inside is not seen. A TorchDispatchMode would see it,
    but costs more seconds, to import torch._dynamo, than most images take.
    """

    def __init__(self, ignored: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = 0
        self._ignored = {_Reference(tensor.untyped_storage()) for tensor in ignored}
        self._live: dict[Any, int] = {}

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage, once, until nothing refers to it."""
        storage = tensor.untyped_storage()
        reference = _Reference(storage)
        if reference not in self._ignored:
            self._live[reference] = storage.nbytes()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        self._live = {ref: size for ref, size in self._live.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._live.values()))
        return result
