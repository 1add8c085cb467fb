"""A rehearsal of a run: everything is opened, built and tried once; nothing is written, but what
clips leave in the cache folder.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sr.build_data import build_window
from sr.build_training import build_validation_lpips
from sr.data.cache import SourceCache
from sr.data.contact_sheet import write_contact_sheet
from sr.data.sources import Source, raise_faults
from sr.device import precision_name, resolve_device, resolve_precision
from sr.io.rgb8 import ImageError
from sr.losses.lpips import LPIPS
from sr.options.clips import ClipSource
from sr.options.schema import Options
from sr.training.data_loader import endless_crops, first_batches
from sr.training.distributed import make_accelerator, num_processes
from sr.training.gradient_check import as_table
from sr.training.logging import RunLog, as_duration
from sr.training.loop import train_step
from sr.training.parts import Adversary, Training
from sr.training.run import find_images, liveness_of
from sr.training.setup import find_teacher, make_trainee, make_training
from sr.training.steps import Batch
from sr.training.validate import Sets, validate

TIMED_STEPS = 3
PREVIEWED_PAIRS = 32

Say = Callable[[str], None]


def check(options: Options, say: Say) -> None:
    """Try what a run would do, and tell what it will take.

    Every image is decoded once; networks are built; each term of the loss is measured; a few
    steps and one validation are made. Raises ValueError or OSError with all that the user can fix.
    """
    if num_processes() > 1:
        raise ValueError("--check rehearses one process; leave out torchrun or accelerate launch")
    device = resolve_device(options.train.device)
    dtype = resolve_precision(options.train.precision, device)
    sources, sets = find_images(options, device)
    open_all([*sources, *(source for part in sets.values() for source in part)])
    count = sum(len(part) for part in sets.values())
    kind = "clips" if isinstance(options.datasets.train.source, ClipSource) else "images"
    say(f"data: {kind} to train on {len(sources)}, to validate on {count}; all can be read")
    teacher = find_teacher(options)
    accelerator = make_accelerator(device, dtype)
    trainee = make_trainee(options, accelerator, state_file=None)
    say(f"generator: {options.generator.type} x{options.scale}, {_size(trainee.generator)}")
    if trainee.adversarial is not None and options.discriminator is not None:
        size = _size(trainee.adversarial.discriminator)
        say(f"discriminator: {options.discriminator.type}, {size}")
    if teacher is not None:
        about = teacher.description
        say(f"teacher: {about['file']}, {about['architecture']}, {_size(teacher)}")
    with RunLog(None, options.train.steps, first_step=1, interval=1) as log:
        training = make_training(options, trainee, accelerator, log, teacher)
        cached = SourceCache(sources, Path(), [])
        drawn = first_batches(options, cached, accelerator, training.batches_a_step)
        for line in as_table(liveness_of(training, drawn[0])):
            say(line)
        seconds = _seconds_of_all_steps(training, drawn)
    say(
        f"steps: {seconds / options.train.steps:.3f} s each on {device} in {precision_name(dtype)},"
        f" so {options.train.steps} take {as_duration(seconds)}, if workers keep up"
    )
    if sets:
        lpips = build_validation_lpips(options.validate_, device)
        validating = _seconds_a_validation(training, sets, options, lpips)
        times = options.train.steps // options.validate_.interval
        say(f"validation: {validating:.1f} s each, {as_duration(validating * times)} in all")
    say(f"memory: {_peak_gib(device):.2f} GiB")


def preview(options: Options, folder: Path) -> Path:
    """Write a sheet of the first lr/hr crops of a run into a folder. Returns its path."""
    sources, _ = find_images(options, resolve_device(options.train.device))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{options.name}.png"
    crops = endless_crops(options, SourceCache(sources, Path(), []), num_workers=0)
    write_contact_sheet(path, crops, PREVIEWED_PAIRS)
    return path


def open_all(sources: Sequence[Source[Any]]) -> None:
    """Decode every image once. Raises DataError naming all that cannot be used."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(_fault, sources) if fault is not None]
    raise_faults("images that cannot be used", faults)


def _fault(source: Source[Any]) -> str | None:
    try:
        hr = source.load()[1]
    except ImageError as error:
        return str(error)
    if hr.shape[-3:-1] != source.hr_size:
        return f"{source.name}: expected {source.hr_size} (H, W) as in its header, got {hr.shape}"
    return None


def _seconds_of_all_steps(training: Training, drawn: Sequence[Batch]) -> float:
    """Of a whole run, from steps of each kind: alone, with the discriminator, and with R1."""
    steps, adversary = training.plan.steps, training.adversary
    training.generator.network.train()
    if adversary is None:
        return steps * _seconds_a_step(training, drawn, 1)
    first = adversary.start_step + adversary.lead_steps  # the first in which all terms count
    kinds = _kinds_of_steps(adversary, first)
    seconds = {name: _seconds_a_step(training, drawn, step) for name, step in kinds.items()}
    learning = (steps - adversary.start_step) // adversary.interval + 1
    with_r1 = learning // adversary.loss.r1_interval if "r1" in kinds else 0
    alone = seconds.get("alone", seconds["both"]) * (steps - learning)
    return alone + seconds["both"] * (learning - with_r1) + seconds.get("r1", 0.0) * with_r1


def _kinds_of_steps(adversary: Adversary, first: int) -> dict[str, int]:
    """A step of each kind, from `first` on, by name."""
    numbers = range(first, first + 2 * adversary.interval * adversary.loss.r1_interval + 1)
    kinds: dict[str, int] = {}
    for step in numbers:
        kind = "alone"
        if adversary.learns(step):
            kind = "r1" if adversary.loss.has_r1(adversary.number(step)) else "both"
        kinds.setdefault(kind, step)
    kinds.setdefault("both", kinds.get("r1", first))  # R1 in every step
    return kinds


def _seconds_a_step(training: Training, drawn: Sequence[Batch], step: int) -> float:
    """Mean of a few steps; the first, which warms up, is not counted."""
    started = time.perf_counter()
    for number in range(TIMED_STEPS + 1):
        updates, _ = train_step(training, drawn, step)
        for name, update in updates.items():
            # fp16 begins with a scale that overflows, and lowers it.
            if not update.finite and training.accelerator.scaler is None:
                raise ValueError(f"{name}: its first steps are not finite (loss {update.loss:g})")
        if number == 0:
            started = time.perf_counter()
    return (time.perf_counter() - started) / TIMED_STEPS


def _seconds_a_validation(
    training: Training, sets: Sets, options: Options, lpips: LPIPS | None
) -> float:
    started = time.perf_counter()
    accelerator = training.accelerator
    validate(
        training.trainee.ema.network,
        sets,
        options.scale,
        accelerator.device,
        accelerator.autocast,
        lambda *_: None,
        lpips,
        build_window(options),
    )
    return time.perf_counter() - started


def _size(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"


def _peak_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
