"""Device and precision as the user named them -> what torch is given."""

import platform
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from sr.errors import UserError
from sr.openvino_devices import list_openvino_devices
from sr.vulkan import MissingNcnnError, VulkanDevice, list_vulkan_devices

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BF16_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})  # x86; ARM
_CONV: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # not in torch's own types

_mps_lock = threading.Lock()


class DeviceError(UserError):
    """A device or a precision that this machine does not have; the message says what to change."""


def resolve_device(name: str) -> torch.device:
    """Return the device of "auto", "cpu", "cuda[:N]", "mps", "vulkan[:N]" or "openvino:NAME".

    "auto" is CUDA where there is a usable GPU, then Apple's MPS, then the CPU. CUDA and Vulkan come
    with a number, so that devices are equal if they are the same. A Vulkan device is for the back
    end ncnn, and `xpu`, with the number in OpenVINO's list, for the back end openvino; torch has no
    tensors there. Raises `DeviceError` for a device that is not there, MissingNcnnError for Vulkan
    without the extra `ncnn`, MissingOpenVinoError likewise.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|(cuda|vulkan)(:[0-9]{1,4})?|openvino:[A-Za-z0-9.]+", name):
        raise DeviceError(
            "device: expected auto, cpu, cuda, cuda:N, mps, vulkan, vulkan:N or openvino:NAME, got"
            f" {name!r}"
        )
    kind, _, number = name.partition(":")
    if kind == "openvino":
        return torch.device("xpu", _find_openvino_device(number))
    if kind == "cuda":
        num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= num_devices:
            raise DeviceError(f"device: expected one of {num_devices} CUDA device(s), got {name!r}")
        if name == "cuda":
            return torch.device("cuda", torch.cuda.current_device())
    if kind == "vulkan":
        return torch.device("vulkan", find_vulkan_device(int(number) if number else None).index)
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "device: expected one that this machine and this build of torch have, got 'mps'"
        )
    return torch.device(name)


def name_device(device: torch.device) -> str:
    """Return the name that users know a device by."""
    if device.type == "xpu":
        return f"openvino:{list_openvino_devices()[device.index].name}"
    return str(device)


def find_vulkan_device(index: int | None) -> VulkanDevice:
    """Return the Vulkan device of this number; of None the first GPU, else the first device.

    Raises DeviceError, with those that there are, where there is none.
    """
    devices = list_vulkan_devices()
    if index is None and devices:
        return next((device for device in devices if device.is_gpu), devices[0])
    if index is None or index >= len(devices):
        known = ", ".join(map(str, devices)) or "none: no driver for Vulkan was found"
        asked = "vulkan" if index is None else f"vulkan:{index}"
        raise DeviceError(f"device: expected one of the Vulkan devices ({known}), got {asked}")
    return devices[index]


def _find_openvino_device(name: str) -> int:
    devices = list_openvino_devices()
    names = [device.name for device in devices]
    if name.upper() not in names:
        known = ", ".join(map(str, devices))
        raise DeviceError(f"device: expected one of OpenVINO's ({known}), got openvino:{name}")
    return names.index(name.upper())


def find_vulkan_gpu() -> torch.device | None:
    """Return the first GPU that Vulkan serves; none without the extra `ncnn` either."""
    try:
        return next(
            (torch.device("vulkan", gpu.index) for gpu in list_vulkan_devices() if gpu.is_gpu), None
        )
    except MissingNcnnError:
        return None


def resolve_precision(name: str, device: torch.device, *, prefer_fp16: bool = False) -> torch.dtype:
    """Return the floating-point type of "auto" | "fp32" | "bf16" | "fp16" on `device`.

    "auto" is the fastest type that the device is made for: bf16 where it has the
    instructions, fp16 on CUDA before Ampere, else fp32. Raises `DeviceError` for a
    precision that the device cannot give.

    prefer_fp16: with "auto" fp16 on all tensor cores, as fast as bf16 and with 3 more bits: SPAN's
    results are at 70 dB of those in fp32, in bf16 at 53 dB. For those who guard its range.
    """
    if name == "auto":
        return _choose_fastest(device, prefer_fp16)
    if name not in _DTYPES:
        raise DeviceError(f"precision: expected auto, fp32, bf16 or fp16, got {name!r}")
    if name == "fp16" and device.type == "cpu":
        # 17x slower than bf16 in convolutions, measured on a CPU with bf16 instructions.
        raise DeviceError(
            "precision: expected bf16 or fp32 on a CPU, where fp16 is too slow, got fp16"
        )
    if name == "bf16" and device.type != "cpu" and not _accelerator_has_bf16(device):
        raise DeviceError(
            f"precision: expected fp16 or fp32 on {name_device(device)}, which is not made for"
            " bf16, got bf16"
        )
    if name == "fp16" and device.type in ("vulkan", "xpu") and not _device_has_fp16(device):
        raise DeviceError(
            f"precision: expected fp32 on {name_device(device)}, which has no fp16, got fp16"
        )
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


def _choose_fastest(device: torch.device, prefer_fp16: bool) -> torch.dtype:
    if device.type == "cpu":
        return torch.bfloat16 if cpu_has_bf16() else torch.float32
    if device.type in ("vulkan", "xpu"):
        return torch.float16 if _device_has_fp16(device) else torch.float32
    if _accelerator_has_bf16(device) and not prefer_fp16:
        return torch.bfloat16
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0):
        return torch.float16  # Volta and Turing: tensor cores without bf16
    return torch.float32


def _device_has_fp16(device: torch.device) -> bool:
    devices = list_openvino_devices() if device.type == "xpu" else list_vulkan_devices()
    return devices[device.index].has_fp16


def _accelerator_has_bf16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere


def choose_tensor_device(device: torch.device) -> torch.device:
    """Return where a network on `device` has its tensors: the CPU for ncnn and OpenVINO."""
    return torch.device("cpu") if device.type in ("vulkan", "xpu") else device


def choose_shared_device(device: torch.device) -> torch.device:
    """Return where several threads may work at a time: on `device`, but instead of MPS on the CPU.

    torch 2.14 ends the process where two threads use MPS at once (pytorch/pytorch#197805).
    """
    return torch.device("cpu") if device.type == "mps" else choose_tensor_device(device)


def hold_device(device: torch.device) -> AbstractContextManager[object]:
    """Return a context that keeps other threads from MPS meanwhile, and does nothing elsewhere."""
    return _mps_lock if device.type == "mps" else nullcontext()


@contextmanager
def tune_convolutions(*, enabled: bool) -> Iterator[None]:
    """Let cuDNN time its algorithms for each new shape and keep the fastest, or keep it from that.

    For the crops of a training, all of one size; not for images, each of a size of its own.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = enabled
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


class _FullFp32:
    """Keeps cuDNN from TF32, its default, whose 10-bit mantissa would make fp32 a promise unkept.

    The setting is one for all threads: the first pass switches it, the last one switches it back.
    The older name of it, `cudnn.allow_tf32`, costs seconds of imports when it is set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_passes = 0
        self._before = ""

    def __enter__(self) -> None:
        with self._lock:
            if self._num_passes == 0:
                self._before = _CONV.fp32_precision
                _CONV.fp32_precision = "ieee"
            self._num_passes += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._num_passes -= 1
            if self._num_passes == 0:
                _CONV.fp32_precision = self._before


full_fp32 = _FullFp32()
"""Context in which convolutions in float32 are exact to its rounding on GPUs too."""
