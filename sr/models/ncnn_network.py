"""A program run by ncnn, on a Vulkan device or on the CPU, behind the shapes of a network."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from sr.errors import ModelFileError
from sr.models.ncnn_graph import Graph
from sr.models.ncnn_program import Program
from sr.native_errors import capture_native_errors
from sr.networks.padding import pad_to_multiple
from sr.tiling.runner import is_autocast_to_float16
from sr.tiling.upscaler import DEFAULT_TILE_SIZE
from sr.vulkan import count_free_mib, import_ncnn

# LR pixels. Drivers end what keeps a GPU busy for seconds, and one tile is one piece of work.
MAX_VULKAN_TILE_SIZE = 256
MIN_TILE_SIZE = 32  # LR pixels
UNKNOWN_TILE_SIZE = 128  # LR pixels, of a program whose memory is not known
MAX_BLOB_BYTES = 2**27  # all that Vulkan promises of one buffer (maxStorageBufferRange)
# Of memory taken over memory in use; measured: 1.2 to 1.8, by llvmpipe and on the CPU.
OVERHEAD = 2.0
_NO_MEMORY = -100  # ncnn's code for it

Pad = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class NcnnPair:
    """A .param and a .bin, read. graph: None for a program that is not known as a whole."""

    program: Program
    graph: Graph | None
    weights: bytes


class NcnnNetwork(nn.Module):
    """Runs a program; not for two threads at once. Its tensors are in the computer's memory.

    On a Vulkan device it computes in float16 (sums in float32) inside torch.autocast of float16,
    so that the precision can be widened from outside; else in float32.

    name: what messages call it. device: number of a Vulkan device, None for the CPU. pad: makes the
    sizes of an image fit, below and at the right.
    """

    def __init__(
        self, pair: NcnnPair, name: str, *, device: int | None = None, pad: Pad | None = None
    ) -> None:
        super().__init__()
        self.pair = pair
        self.name = name
        self.device = device
        self.pad = pad or _pad_as_stated(pair)
        self._net: Any = None
        self._is_half = False

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (N, 3, H, W), RGB in [0, 1]. Returns (N, 3, scale*H, scale*W), not clamped."""
        is_half = self.device is not None and is_autocast_to_float16()
        if self._net is None or self._is_half != is_half:
            self._net = None  # its memory is free before another takes some
            self._net, self._is_half = self._open_net(is_half=is_half), is_half
        images = lr.detach().to("cpu", torch.float32)
        return torch.stack([self._run(image) for image in images]).to(lr.device)

    def choose_tile_size(
        self, *, halo: int, multiple: int, dtype: torch.dtype, share: float
    ) -> int:
        """Return the largest tile size, in LR pixels without halo, for `share` of the free memory.

        Computed from the program, as nothing can be measured by Vulkan.
        """
        graph = self.pair.graph
        if graph is None:
            side = largest = UNKNOWN_TILE_SIZE
        else:
            largest = DEFAULT_TILE_SIZE if self.device is None else MAX_VULKAN_TILE_SIZE
            # In bytes; in float32 are the image, and two copies of the result.
            ends = 4 * 3 * (1 + 2 * graph.scale**2)
            per_pixel = OVERHEAD * (graph.peak_numbers * dtype.itemsize + ends)
            num_pixels = share * self._count_free_bytes() / per_pixel
            num_pixels = min(num_pixels, self._limit_pixels(dtype.itemsize))
            side = math.isqrt(int(num_pixels)) - 2 * halo
        side = min(max(side, MIN_TILE_SIZE), largest)
        return max(side // multiple, 1) * multiple

    def _run(self, image: Tensor) -> Tensor:
        """image: (3, H, W). Returns (3, scale*H, scale*W)."""
        height, width = image.shape[1:]
        padded = self.pad(image[None])[0]
        if padded.shape[1] * padded.shape[2] > self._limit_pixels(2 if self._is_half else 4):
            raise MemoryError(f"{self.name}: too large for one piece of work: {tuple(image.shape)}")
        ncnn = import_ncnn()
        extractor = self._net.create_extractor()
        source = ncnn.Mat(padded.contiguous().numpy()).clone()
        extractor.input(self.pair.program.source, source)
        code, result = extractor.extract(self.pair.program.result)
        if code == _NO_MEMORY or (code == 0 and result.empty()):
            raise MemoryError(f"{self.name}: ncnn: not enough memory for {tuple(image.shape)}")
        if code:
            raise RuntimeError(f"{self.name}: ncnn failed on {tuple(image.shape)}, code {code}")
        sr = torch.from_numpy(np.array(result))
        scale = sr.shape[-1] // padded.shape[-1]
        return sr[:, : scale * height, : scale * width]

    def _limit_pixels(self, itemsize: int) -> float:
        """LR pixels of an image, for which every buffer is one that each Vulkan device has."""
        if self.device is None or self.pair.graph is None:
            return math.inf
        return MAX_BLOB_BYTES / (self.pair.graph.largest_blob * itemsize)

    def _count_free_bytes(self) -> int:
        if self.device is None:
            return int(psutil.virtual_memory().available)
        return count_free_mib(self.device) * 2**20

    def _open_net(self, *, is_half: bool) -> Any:
        ncnn = import_ncnn()
        net = ncnn.Net()
        options = net.opt
        options.num_threads = torch.get_num_threads()
        options.use_vulkan_compute = self.device is not None
        options.use_fp16_packed = options.use_fp16_storage = is_half
        options.use_fp16_arithmetic = False  # sums in float16 cost 7 dB of what is left of 55
        options.use_bf16_packed = options.use_bf16_storage = False
        with capture_native_errors() as lines, TemporaryDirectory(prefix="sr-ncnn-") as folder:
            if self.device is not None:
                net.set_vulkan_device(self.device)
            weights = Path(folder) / "weights.bin"  # ncnn would not copy them from memory
            weights.write_bytes(self.pair.weights)
            is_bad = net.load_param_mem(self.pair.program.text) or net.load_model(str(weights))
        if is_bad or net.opt.use_vulkan_compute != (self.device is not None):
            reason = f": {lines[-1]}" if lines else ""
            raise ModelFileError(f"{self.name}: ncnn cannot load it{reason}")
        return net


def _pad_as_stated(pair: NcnnPair) -> Pad:
    multiple = 1 if pair.graph is None else pair.graph.size_multiple
    return lambda lr: pad_to_multiple(lr, multiple)
