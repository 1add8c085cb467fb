"""How this process deals with memory that it has used and will use again."""

import ctypes
import sys

import psutil
import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc, malloc.h


def peak_gib() -> float:
    """The most memory that was in use: the GPU's where one was used, else this process's."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**30
    if resource is None:
        return int(psutil.Process().memory_info().peak_wset) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # of getrusage
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


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
