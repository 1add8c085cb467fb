"""ncnn, the runtime for GPUs that speak Vulkan, and the devices that it finds.

Needs the extra `ncnn`. Its library reports to the terminal whatever it finds and fails at, below
Python's streams; that is kept back, or put into messages.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from sr.errors import UserError
from sr.native_errors import capture_native_errors

_KINDS = ("discrete GPU", "integrated GPU", "virtual GPU", "CPU")  # as ncnn numbers them
_ONE_LAYER = "7767517\n1 1\nInput data 0 1 data\n"


class MissingNcnnError(UserError):
    """The extra `ncnn` is not installed; the message says how to."""


@dataclass(frozen=True)
class VulkanDevice:
    """A device as ncnn numbers them. num_mib: memory that this process may take there."""

    index: int
    name: str
    kind: str
    num_mib: int
    has_fp16: bool

    @property
    def is_gpu(self) -> bool:
        """Not so for Vulkan by a CPU, such as Mesa's llvmpipe, which is slow."""
        return self.kind != _KINDS[3]

    def __str__(self) -> str:
        return f"vulkan:{self.index} ({self.name})"


def import_ncnn() -> Any:
    """Return the package. Raises MissingNcnnError where the extra `ncnn` is not installed."""
    try:
        import ncnn
    except ImportError as error:
        raise MissingNcnnError(
            f"Vulkan and backend ncnn need the extra `ncnn` ({error.name or error} is missing): "
            "pip install -e '.[ncnn]'"
        ) from None
    return ncnn


@cache
def list_vulkan_devices() -> tuple[VulkanDevice, ...]:
    """List the devices; none where there is no driver. Raises MissingNcnnError."""
    ncnn = import_ncnn()
    with capture_native_errors():
        return tuple(_describe(ncnn, index) for index in range(ncnn.get_gpu_count()))


def count_free_mib(index: int) -> int:
    """Return the MiB of a device's memory that this process may take, by its driver."""
    return int(import_ncnn().get_gpu_device(index).get_heap_budget())


def _describe(ncnn: Any, index: int) -> VulkanDevice:
    info = ncnn.get_gpu_info(index)
    net = ncnn.Net()
    net.opt.use_vulkan_compute = True
    net.opt.use_fp16_storage = True
    net.set_vulkan_device(index)
    net.load_param_mem(_ONE_LAYER)  # which takes back the options that the device lacks
    return VulkanDevice(
        index,
        str(info.device_name()),
        _KINDS[info.type()] if 0 <= info.type() < len(_KINDS) else "device",
        count_free_mib(index),
        bool(net.opt.use_vulkan_compute and net.opt.use_fp16_storage),
    )
