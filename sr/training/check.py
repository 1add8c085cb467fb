"""A rehearsal of a run: everything is opened, built and tried once, and nothing is written."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import psutil
import torch
from torch import nn

from sr.data.cache import CachedPairs
from sr.data.contact_sheet import write_contact_sheet
from sr.data.sources import Source, raise_faults
from sr.devices import precision_name, resolve_device, resolve_precision
from sr.io.image import ImageError
from sr.options.schema import Options
from sr.training.liveness import as_table
from sr.training.logging import RunLog, as_duration
from sr.training.loop import Training, train_step
from sr.training.prepare import endless_batches, endless_crops, make_trainee, make_training
from sr.training.processes import make_accelerator, num_processes
from sr.training.run import find_pictures, liveness_of
from sr.training.steps import Batch
from sr.training.validate import Sets, validate

TIMED_STEPS = 3
PREVIEWED_PAIRS = 32

Say = Callable[[str], None]


def check(options: Options, say: Say) -> None:
    """Try what a run would do, and tell what it will take.

    Every picture is decoded once; networks are built; each term of the loss is measured; a few
    steps and one validation are made. Raises ValueError or OSError with all that the user can mend.
    """
    if num_processes() > 1:
        raise ValueError("--check rehearses one process; leave out torchrun or accelerate launch")
    device = resolve_device(options.train.device)
    dtype = resolve_precision(options.train.precision, device)
    sources, sets = find_pictures(options)
    open_all([*sources, *(source for part in sets.values() for source in part)])
    count = sum(len(part) for part in sets.values())
    say(f"data: {len(sources)} pictures to train on, {count} to validate on; all can be read")
    accelerator = make_accelerator(device, dtype)
    trainee = make_trainee(options, accelerator, state_file=None)
    say(f"generator: {options.generator.type} x{options.scale}, {_size(trainee.generator)}")
    if trainee.adversarial is not None and options.discriminator is not None:
        size = _size(trainee.adversarial.discriminator)
        say(f"discriminator: {options.discriminator.type}, {size}")
    with RunLog(None, options.train.steps, first_step=1, interval=1) as log:
        training = make_training(options, trainee, accelerator, log)
        batches = endless_batches(options, CachedPairs(sources, Path(), []), training)
        for line in as_table(liveness_of(training, next(batches))):
            say(line)
        seconds = _seconds_a_step(training, batches)
    say(
        f"steps: {seconds:.3f} s each on {device} in {precision_name(dtype)}, so "
        f"{options.train.steps} take {as_duration(seconds * options.train.steps)}"
    )
    validating = _seconds_a_validation(training, sets, options.scale)
    times = options.train.steps // options.validate_.interval
    if sets:
        say(f"validation: {validating:.1f} s each, {as_duration(validating * times)} in all")
    say(f"memory: {_peak_gib(device):.2f} GiB")


def preview(options: Options, folder: Path) -> Path:
    """Write a sheet of the first lr/hr crops of a run into a folder. Returns its path."""
    sources, _ = find_pictures(options)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{options.name}.png"
    crops = endless_crops(options, CachedPairs(sources, Path(), []), num_workers=0)
    write_contact_sheet(path, crops, PREVIEWED_PAIRS)
    return path


def open_all(sources: Sequence[Source]) -> None:
    """Decode every picture once. Raises DataError naming all that cannot be used."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(_fault, sources) if fault is not None]
    raise_faults("pictures that cannot be used", faults)


def _fault(source: Source) -> str | None:
    try:
        _, hr = source.load()
    except ImageError as error:
        return str(error)
    if hr.shape[:2] != source.hr_size:
        return f"{source.name}: expected {source.hr_size} (H, W) as in its header, got {hr.shape}"
    return None


def _seconds_a_step(training: Training, batches: Iterator[Batch]) -> float:
    """Of steps in which both networks learn; the first, which warms up, is not counted."""
    adversary = training.adversary
    step = 1 if adversary is None else adversary.start_step + adversary.lead_steps
    training.generator.network.train()
    started = time.perf_counter()
    for number in range(TIMED_STEPS + 1):
        updates, _ = train_step(training, list(islice(batches, training.batches_a_step)), step)
        for name, update in updates.items():
            if not update.finite:
                raise ValueError(f"{name}: its first steps are not finite (loss {update.loss:g})")
        if number == 0:
            started = time.perf_counter()
    return (time.perf_counter() - started) / TIMED_STEPS


def _seconds_a_validation(training: Training, sets: Sets, scale: int) -> float:
    started = time.perf_counter()
    accelerator = training.accelerator
    validate(
        training.trainee.ema.network,
        sets,
        scale,
        accelerator.device,
        accelerator.autocast,
        lambda *_: None,
    )
    return time.perf_counter() - started


def _size(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"


def _peak_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss)) / 2**30
