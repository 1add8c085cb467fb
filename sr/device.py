"""Device and precision as the user named them -> what torch is given; and memory of the process."""

import ctypes
import platform
import re
import sys
from pathlib import Path
from typing import Literal

import psutil
import torch

from sr.errors import UserError
from sr.vulkan import MissingNcnnError, VulkanDevice, list_vulkan_devices

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BF16_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})  # x86; ARM
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc, malloc.h


class DeviceError(UserError):
    """A device or a precision that this machine does not have; the message says what to change."""


def resolve_device(name: str) -> torch.device:
    """Return the device of "auto" | "cpu" | "cuda" | "cuda:N" | "mps" | "vulkan" | "vulkan:N".

    "auto" is CUDA where there is a usable GPU, then Apple's MPS, then the CPU. A Vulkan device is
    for the back end ncnn, and always has a number; torch has no tensors there. Raises `DeviceError`
    for a device that is not there, MissingNcnnError for Vulkan without the extra `ncnn`.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|(cuda|vulkan)(:[0-9]{1,4})?", name):
        raise DeviceError(
            f"device: expected auto, cpu, cuda, cuda:N, mps, vulkan or vulkan:N, got {name!r}"
        )
    kind, _, number = name.partition(":")
    if kind == "cuda":
        num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= num_devices:
            raise DeviceError(f"device: expected one of {num_devices} CUDA device(s), got {name!r}")
    if kind == "vulkan":
        return torch.device("vulkan", find_vulkan_device(number and int(number)).index)
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "device: expected one that this machine and this build of torch have, got 'mps'"
        )
    return torch.device(name)


def find_vulkan_device(index: int | Literal[""] = "") -> VulkanDevice:
    """Return the Vulkan device of this number, without one the first GPU, else the first device.

    Raises DeviceError, with those that there are, where there is none.
    """
    devices = list_vulkan_devices()
    if index == "" and devices:
        return next((device for device in devices if device.is_gpu), devices[0])
    if index == "" or index >= len(devices):
        known = ", ".join(map(str, devices)) or "none: no driver for Vulkan was found"
        asked = "vulkan" if index == "" else f"vulkan:{index}"
        raise DeviceError(f"device: expected one of the Vulkan devices ({known}), got {asked}")
    return devices[index]


def find_vulkan_gpu() -> torch.device | None:
    """Return the first GPU that Vulkan serves; none without the extra `ncnn` either."""
    try:
        return next(
            (torch.device("vulkan", gpu.index) for gpu in list_vulkan_devices() if gpu.is_gpu), None
        )
    except MissingNcnnError:
        return None


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the floating-point type of "auto" | "fp32" | "bf16" | "fp16" on `device`.

    "auto" is the fastest type that the device is made for: bf16 where it has the
    instructions, fp16 on CUDA before Ampere, else fp32. Raises `DeviceError` for a
    precision that the device cannot give.
    """
    if name == "auto":
        return _choose_fastest(device)
    if name not in _DTYPES:
        raise DeviceError(f"precision: expected auto, fp32, bf16 or fp16, got {name!r}")
    if name == "fp16" and device.type == "cpu":
        # 17x slower than bf16 in convolutions, measured on a CPU with bf16 instructions.
        raise DeviceError(
            "precision: expected bf16 or fp32 on a CPU, where fp16 is too slow, got fp16"
        )
    if name == "bf16" and device.type != "cpu" and not _accelerator_has_bf16(device):
        raise DeviceError(
            f"precision: expected fp16 or fp32 on {device}, which is not made for bf16, got bf16"
        )
    if name == "fp16" and device.type == "vulkan" and _choose_fastest(device) != torch.float16:
        raise DeviceError(f"precision: expected fp32 on {device}, which has no fp16, got fp16")
    return _DTYPES[name]


def name_precision(dtype: torch.dtype) -> str:
    """Return the name that users know a floating-point type by."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


def cpu_has_bf16() -> bool:
    """Return whether bf16 convolutions run on instructions made for them.

    Without such instructions, oneDNN still computes in bf16, but three times slower than
    in fp32. Without oneDNN, torch has no fast bf16 convolution at all.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # not in every torch from 2.11 on
    if capabilities is not None:
        return any(capabilities().get(name, False) for name in _BF16_INSTRUCTIONS)
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:  # not Linux
        return False
    return not _BF16_INSTRUCTIONS.isdisjoint(words)


def name_cpu() -> str:
    """Return the model of the CPU, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _choose_fastest(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return torch.bfloat16 if cpu_has_bf16() else torch.float32
    if device.type == "vulkan":
        has_fp16 = find_vulkan_device(device.index).has_fp16
        return torch.float16 if has_fp16 else torch.float32
    if _accelerator_has_bf16(device):
        return torch.bfloat16
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0):
        return torch.float16  # Volta and Turing: tensor cores without bf16
    return torch.float32


def _accelerator_has_bf16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere


def measure_peak_gib() -> float:
    """Return the most memory that was in use: the GPU's where one was used, else this process's."""
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
