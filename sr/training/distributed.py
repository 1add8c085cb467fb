"""One process or several (torchrun, accelerate launch): what they share and agree on."""

import os
from collections.abc import Callable
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sr.device import DeviceError, resolve_device

GROUP_TIMEOUT = timedelta(hours=2)  # others wait while one validates or decodes images


def make_accelerator(device: torch.device, dtype: torch.dtype) -> Accelerator:
    """Return Accelerate on this process's device, in one precision.

    Accelerate keeps both for the whole process; outside a group of processes they are forgotten
    first, so that a second run in the process may choose again.
    """
    if not torch.distributed.is_initialized():
        AcceleratorState._reset_state(reset_partial_state=True)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # Accelerate takes the current one
    precision = {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    return Accelerator(
        mixed_precision=precision,
        cpu=device.type == "cpu",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=GROUP_TIMEOUT)],
    )


def choose_local_device(name: str) -> torch.device:
    """Choose the device of this process: several on one machine take one GPU each.

    name: as `resolve_device`. Raises DeviceError where there are too few, or where one was named.
    """
    device = resolve_device(name)
    if device.type != "cuda" or count_processes() == 1:
        return device
    if ":" in name:
        raise DeviceError(
            f"train.device: expected auto for several processes, of one GPU each, got {name}"
        )
    rank, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if rank >= count:
        raise DeviceError(
            f"process {rank + 1} of this machine: expected a GPU of its own, got {count} in all"
        )
    return torch.device("cuda", rank)


def count_processes() -> int:
    """Return how many processes the launcher has started for this run; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def any_process(flag: bool, accelerator: Accelerator) -> bool:
    """Return whether the flag is set in any process; all must ask together."""
    if accelerator.num_processes == 1:
        return flag
    flags = torch.tensor(float(flag), device=accelerator.device)
    return bool(accelerator.reduce(flags, reduction="sum").item() > 0)


def average_over_processes(values: dict[str, float], accelerator: Accelerator) -> dict[str, float]:
    """Return each value's mean; all processes must ask together, with the same names."""
    if accelerator.num_processes == 1:
        return values
    own = torch.tensor(list(values.values()), device=accelerator.device)
    means = accelerator.reduce(own, reduction="mean").tolist()
    return dict(zip(values, means, strict=True))


def distribute_network(network: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Return the network with gradients averaged over the processes; itself where there is one.

    Buffers are not sent around: all processes start with the same ones; those of spectral
    normalization go on alike, and statistics of batches are taken over all processes on GPUs
    (SyncBatchNorm), of each process's own batch on CPUs. Sending them would change them between
    the discriminator's passes over hr and sr, before the backward pass that needs them.
    """
    if accelerator.num_processes == 1:
        return network
    devices = [accelerator.device] if accelerator.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)


def share_batch_statistics(network: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Normalize over the batches of all processes, where they are on GPUs."""
    if accelerator.num_processes == 1 or accelerator.device.type != "cuda":
        return network
    convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    return convert(network)
