"""One process or several (torchrun, accelerate launch): what they share and agree on."""

import atexit
import inspect
import os
import platform
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sr.device import DeviceError, resolve_device

GROUP_TIMEOUT = timedelta(minutes=30)  # of what all do in every step
WAIT_TIMEOUT = timedelta(hours=24)  # while one validates, saves, or decodes images

_PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}  # Accelerate's
_patient_groups: dict[object, dist.ProcessGroup] = {}  # by the default group


def make_accelerator(device: torch.device, dtype: torch.dtype) -> Accelerator:
    """Return Accelerate on this process's device, in one precision.

    Accelerate keeps both for the whole process; outside a group of processes they are forgotten
    first, so that a second run in the process may choose again.
    """
    if not dist.is_initialized():
        AcceleratorState._reset_state(reset_partial_state=True)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # Accelerate takes the current one
    precision = next(name for name, known in _PRECISIONS.items() if known == dtype)
    return Accelerator(
        mixed_precision=precision,
        cpu=device.type == "cpu",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=GROUP_TIMEOUT)],
    )


def get_dtype(accelerator: Accelerator) -> torch.dtype:
    """Return the type that networks compute in inside of the accelerator's autocast."""
    return _PRECISIONS[accelerator.mixed_precision]


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


def name_machine() -> str:
    """Return a name of this machine that no other one of the run has: its number, or its own.

    The numbers are those of torchrun or, where srun starts the processes itself, of Slurm.
    """
    for name in ("GROUP_RANK", "SLURM_NODEID"):
        if os.environ.get(name):
            return os.environ[name]
    return "0" if count_processes() == 1 else platform.node()


def wait_for_everyone(accelerator: Accelerator) -> None:
    """Wait until all processes are here, however long one of them works.

    Over gloo, which sees at once where a process has ended. NCCL would keep the GPUs until its
    timeout, and that must be short for the sake of all other steps. All must ask together.
    """
    if accelerator.num_processes == 1:
        return
    default = dist.group.WORLD
    if default not in _patient_groups:
        group = dist.new_group(backend="gloo", timeout=WAIT_TIMEOUT)
        assert not isinstance(group, int)  # what who is no member of it gets
        _patient_groups[default] = group
    dist.barrier(group=_patient_groups[default])


def leave_at_exit(accelerator: Accelerator) -> None:
    """Have this process leave the group when it exits, as NCCL asks for.

    Not at once: further runs in this process share it. Not for processes that end by an error:
    others may be waiting for them.
    """
    if accelerator.num_processes > 1:
        atexit.unregister(_leave)
        atexit.register(_leave)


def _leave() -> None:
    _patient_groups.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def any_process(flag: bool, accelerator: Accelerator) -> bool:
    """Return whether the flag is set in any process; all must ask together."""
    if accelerator.num_processes == 1:
        return flag
    flags = torch.tensor(float(flag), device=accelerator.device)
    return bool(accelerator.reduce(flags, reduction="sum").item() > 0)


def average_over_processes(
    numbers: Sequence[Tensor], accelerator: Accelerator
) -> tuple[list[float], list[float]]:
    """Return scalars of the device and their means over all processes, which must ask together.

    The device is waited for once. A mean is finite if the number is in each process.
    """
    own = torch.stack([number.to(accelerator.device, torch.float32) for number in numbers])
    if accelerator.num_processes == 1:
        values = own.tolist()
        return values, values
    both = torch.stack([own, accelerator.reduce(own, reduction="mean")]).tolist()
    return both[0], both[1]


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
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    settings: dict[str, Any] = {name: False}  # the second is its older name
    return DistributedDataParallel(network, device_ids=devices, **settings)


def share_batch_statistics(network: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Normalize over the batches of all processes, where they are on GPUs."""
    if accelerator.num_processes == 1 or accelerator.device.type != "cuda":
        return network
    convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    return convert(network)
