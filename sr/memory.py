"""Memory of the process and of GPUs: pinned, released, measured, or too little."""

import ctypes
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from torch import Tensor

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

R = TypeVar("R")

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc, malloc.h
# torch.OutOfMemoryError aside, a plain RuntimeError says so: of the CPU's allocator (the first
# two), of CUDA's and MPS's libraries.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",
    # What cuDNN says when all of its ways to compute a convolution lack memory for their scratch.
    "unable to find an engine to execute this computation",
)


def pin(x: Tensor) -> Tensor:
    """Copy to pinned memory of the CPU, from which a copy to the GPU does not hold up this program.

    Contiguous and of its own: `Tensor.pin_memory` would keep strides, of which those of repeated
    gray cannot be written to, and with a tile all rows of the image that it is a part of.
    """
    return allocate_pinned(x.shape, x.dtype).copy_(x)


def copy_to_cpu(x: Tensor) -> Tensor:
    """Return a tensor in CPU memory; from a GPU in pinned memory."""
    return pin(x) if x.device.type == "cuda" else x.cpu()


def allocate_pinned(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Allocate a contiguous tensor in pinned memory; only where there is CUDA."""
    return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether there was no memory, be it the computer's or the device's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def fall_back_to_cpu(function: Callable[[Tensor], R], x: Tensor) -> R:
    """Call a function with x; where the GPU has too little memory for it, with x on the CPU.

    The function may have begun when it is called again.
    """
    try:
        return function(x)
    except (MemoryError, RuntimeError) as error:
        if x.device.type == "cpu" or not is_out_of_memory(error):
            raise
    release_memory(x.device)  # out here, where no traceback holds the tensors any more
    return function(x.cpu())


def release_memory(device: torch.device) -> None:
    """Give back what torch keeps of freed memory on a GPU, in blocks that may not fit any more."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def measure_peak_gib() -> float:
    """Return the most memory in use: the sum of all GPUs if one was used, else this process's."""
    if torch.cuda.is_available():
        devices = range(torch.cuda.device_count())
        if num_bytes := sum(map(torch.cuda.max_memory_allocated, devices)):
            return num_bytes / 2**30
    if resource is None:
        return int(psutil.Process().memory_info().peak_wset) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # of getrusage
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def measure_peak_bytes(function: Callable[[], object], device: torch.device) -> int | None:
    """Call a function; return the most bytes in use meanwhile, with all that was in use before.

    On CUDA those that torch gave away, whose statistics of the peak are reset; on the CPU those of
    this process, by Linux. None elsewhere.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu" or not _reset_peak_of_process():
        return None
    function()
    return _read_peak_of_process()


def count_usable_bytes(device: torch.device) -> int:
    """Return the memory that this process can have in all: what it has, and what is free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device))
    return int(psutil.virtual_memory().available + psutil.Process().memory_info().rss)


def _reset_peak_of_process() -> bool:
    """Give back freed memory, and have Linux measure the peak from now on; False elsewhere."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (AttributeError, TypeError, OSError):  # as in `keep_freed_memory`; not allowed
        return False
    return _read_peak_of_process() is not None


def _read_peak_of_process() -> int | None:
    """Return the largest size of this process in RAM since the last reset."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory instead of returning it to the system.

    By default glibc asks the system for each activation of a network again (for any block above
    32 MiB, and for smaller ones when they end the heap). The system then clears it page by page:
    on two AVX-512 cores that was 40 % of the time of a whole 512x512 image through Compact in
    fp32. Threads get memory of their own, which is given back as fast; with the one arena for all,
    whose memory is kept, upscaling in a thread took 0.65 of the time. The price is that the process
    stays at the size of its peak.

    Meant for a command line's start; a library should not decide this for its users. Returns
    whether the C library knows the setting: glibc does, macOS, Windows and musl do not.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError):  # TypeError: no CDLL(None) on Windows
        return False
    settings = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1}
    return all(mallopt(name, value) for name, value in settings.items())
