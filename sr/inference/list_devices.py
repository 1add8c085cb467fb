"""The devices that `--device` takes on this machine, in words."""

import psutil
import torch

from sr.device import cpu_has_bf16, name_cpu, resolve_precision
from sr.errors import UserError
from sr.openvino_devices import list_openvino_devices
from sr.vulkan import VulkanDevice, list_vulkan_devices


def describe_devices() -> dict[str, str]:
    """Return name -> what is known; for a kind that is missing, what it needs."""
    return {
        "cpu": _describe_cpu(),
        **_describe_cuda(),
        **_describe_mps(),
        **_describe_vulkan(),
        **_describe_openvino(),
    }


def _describe_cpu() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    precisions = "fp32, bf16" if cpu_has_bf16() else "fp32"
    memory = psutil.virtual_memory().total / 2**30
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return f"{name_cpu()}, {cores} core(s), {capability}, {memory:.1f} GiB; {precisions}"


def _describe_cuda() -> dict[str, str]:
    if not torch.cuda.is_available():
        return {"cuda": "none, or this build of torch has no CUDA"}
    facts = {}
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        properties = torch.cuda.get_device_properties(device)
        memory = properties.total_memory / 2**30
        facts[str(device)] = f"{properties.name}, {memory:.1f} GiB; {_list_precisions(device)}"
    return facts


def _describe_mps() -> dict[str, str]:
    if not torch.backends.mps.is_available():
        return {"mps": "none: for Macs with a GPU of Apple's"}
    return {"mps": f"{name_cpu()}; {_list_precisions(torch.device('mps'))}"}


def _describe_vulkan() -> dict[str, str]:
    try:
        devices = list_vulkan_devices()
    except UserError as error:
        return {"vulkan": f"not known: {error}"}
    if not devices:
        return {"vulkan": "none: no driver for Vulkan was found"}
    return {f"vulkan:{device.index}": _describe_vulkan_device(device) for device in devices}


def _describe_vulkan_device(device: VulkanDevice) -> str:
    precisions = "fp32, fp16" if device.has_fp16 else "fp32"
    kind = device.kind if device.is_gpu else "runs on the CPU, slow"
    return f"{device.name} ({kind}), {device.num_mib / 1024:.1f} GiB; {precisions}"


def _describe_openvino() -> dict[str, str]:
    """Describe OpenVINO's devices; its CPU is what `--backend openvino` uses."""
    try:
        devices = list_openvino_devices()
    except UserError as error:
        return {"openvino": f"not known: {error}"}
    others = {
        f"openvino:{device.name}": device.full_name + ("; fp32, fp16" if device.has_fp16 else "")
        for device in devices
        if device.name != "CPU"
    }
    return others or {"openvino": "none but the CPU: no driver of a GPU or an NPU was found"}


def _list_precisions(device: torch.device) -> str:
    names = ["fp32"]
    for name in ("bf16", "fp16"):
        try:
            resolve_precision(name, device)
        except UserError:
            continue
        names.append(name)
    return ", ".join(names)
