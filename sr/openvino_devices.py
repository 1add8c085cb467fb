"""OpenVINO, the runtime for Intel's CPUs, GPUs and NPUs, and the devices that it finds.

Needs the extra `openvino`.
"""

import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from sr.errors import UserError


class MissingOpenVinoError(UserError):
    """The extra `openvino` is not installed; the message says how to."""


@dataclass(frozen=True)
class OpenVinoDevice:
    """A device as OpenVINO names them: CPU, GPU, GPU.1, NPU."""

    name: str
    full_name: str
    has_fp16: bool

    def __str__(self) -> str:
        return f"openvino:{self.name} ({self.full_name})"


def import_openvino() -> Any:
    """Import the package; it reports that to its makers unless barred from it.

    Raises MissingOpenVinoError where the extra `openvino` is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # bars an import
    try:
        import openvino
    except ImportError as error:
        raise MissingOpenVinoError(
            f"backend openvino needs the extra `openvino` ({error.name} is missing): "
            "pip install -e '.[openvino]'"
        ) from None
    return openvino


@cache
def list_openvino_devices() -> tuple[OpenVinoDevice, ...]:
    """List the devices, of GPUs and NPUs those whose drivers are there.

    Raises MissingOpenVinoError.
    """
    core = import_openvino().Core()
    return tuple(
        OpenVinoDevice(
            name,
            str(core.get_property(name, "FULL_DEVICE_NAME")),
            "FP16" in core.get_property(name, "OPTIMIZATION_CAPABILITIES"),
        )
        for name in core.available_devices
    )
