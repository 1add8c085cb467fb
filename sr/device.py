"""Device and precision as the user named them -> what torch is given, decided once."""

import re
from pathlib import Path

import torch

from sr.errors import UserError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BF16_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})  # x86; ARM


class DeviceError(UserError):
    """A device or a precision that this machine cannot give; the message says what to change."""


def resolve_device(name: str) -> torch.device:
    """The device of "auto" | "cpu" | "cuda" | "cuda:N" | "mps".

    "auto" is CUDA where there is a usable GPU, then Apple's MPS, then the CPU. Raises
    `DeviceError` for a device that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise DeviceError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if name.startswith("cuda"):
        num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(name.removeprefix("cuda").removeprefix(":") or 0) >= num_devices:
            raise DeviceError(f"device {name}: {num_devices} CUDA device(s) can be used here")
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device mps: not on this machine, or not in this build of torch")
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The floating-point type of "auto" | "fp32" | "bf16" | "fp16" on `device`.

    "auto" is the fastest type that the device is made for: bf16 where it has the
    instructions, fp16 on CUDA before Ampere, else fp32. Raises `DeviceError` for a
    precision that the device cannot give.
    """
    if name == "auto":
        return _fastest(device)
    if name not in _DTYPES:
        raise DeviceError(f"precision: expected auto, fp32, bf16 or fp16, got {name!r}")
    if name == "fp16" and device.type == "cpu":
        # 17x slower than bf16 in convolutions, measured on a CPU with bf16 instructions.
        raise DeviceError("precision fp16: too slow on a CPU to be of use; take bf16 or fp32")
    if name == "bf16" and device.type != "cpu" and not _accelerator_has_bf16(device):
        raise DeviceError(f"precision bf16: {device} is not made for it; take fp16 or fp32")
    return _DTYPES[name]


def precision_name(dtype: torch.dtype) -> str:
    """The name that the user knows a floating-point type by."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


def cpu_has_bf16() -> bool:
    """Whether bf16 convolutions run on instructions made for them.

    Without such instructions, oneDNN still computes in bf16, but three times slower than
    in fp32. Without oneDNN, torch has no fast bf16 convolution at all.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's own
        return False
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # not in every torch from 2.11 on
    if capabilities is not None:
        return any(capabilities().get(name, False) for name in _BF16_INSTRUCTIONS)
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:  # not Linux
        return False
    return not _BF16_INSTRUCTIONS.isdisjoint(words)


def _fastest(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return torch.bfloat16 if cpu_has_bf16() else torch.float32
    if _accelerator_has_bf16(device):
        return torch.bfloat16
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0):
        return torch.float16  # Volta and Turing: tensor cores without bf16
    return torch.float32


def _accelerator_has_bf16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
