"""--check: everything is opened, built and tried once; nothing is written, but what clips leave in
the cache folder. --preview-data: a sheet of the first crops.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from sr.build_data import build_window
from sr.build_training import build_validation_lpips
from sr.data.cache import SourceCache
from sr.data.contact_sheet import write_contact_sheet
from sr.data.sources import Source, raise_faults
from sr.device import name_precision, resolve_device, resolve_precision, tune_convolutions
from sr.errors import UserError
from sr.io.image_formats import ImageError
from sr.losses.combined import CombinedLoss
from sr.memory import (
    count_usable_bytes,
    is_out_of_memory,
    measure_peak_bytes,
    measure_peak_gib,
    release_memory,
)
from sr.options.clips import ClipSource
from sr.options.generator import name_network
from sr.options.schema import Options
from sr.training.batch_fit import describe_fit, measure_fit
from sr.training.data_loader import (
    count_batches_per_step,
    find_sources,
    load_crops,
    load_first_batches,
)
from sr.training.distributed import count_processes, make_accelerator
from sr.training.gradient_check import format_gradients, measure_gradients
from sr.training.logging import format_duration
from sr.training.run import make_tiling
from sr.training.run_folder import name_os_errors
from sr.training.setup import check_files, make_loss, make_state, make_teacher
from sr.training.state import GANState, TrainState
from sr.training.steps import Batch, train_step
from sr.training.validate import ValidationSets, validate

TIMED_STEPS = 3
PREVIEWED_PAIRS = 32


def dry_run(options: Options, report: Callable[[str], None]) -> None:
    """Try what a run would do, and report what it will take.

    Every image is decoded once; networks are built; each term of the loss is measured; a few
    steps and one validation are made. Raises a UserError with all that the user can fix.
    """
    if count_processes() > 1:
        raise UserError(
            f"--check: expected one process, got {count_processes()}; leave out torchrun or "
            "accelerate launch"
        )
    device = resolve_device(options.train.device)
    dtype = resolve_precision(options.train.precision, device)
    check_files(options)
    sources, sets = find_sources(options, device)
    decode_all([*sources, *(source for part in sets.values() for source in part)])
    count = sum(len(part) for part in sets.values())
    kind = "clips" if isinstance(options.datasets.train.source, ClipSource) else "images"
    report(f"data: {kind} to train on {len(sources)}, to validate on {count}; all can be read")
    teacher = make_teacher(options)
    accelerator = make_accelerator(device, dtype)
    state, _ = make_state(options, accelerator, state_file=None)
    size = _describe_size(state.generator.network)
    report(f"generator: {name_network(options.generator)} x{options.scale}, {size}")
    if state.gan is not None and options.discriminator is not None:
        size = _describe_size(state.gan.discriminator.network)
        report(f"discriminator: {options.discriminator.type}, {size}")
    if teacher is not None:
        about = teacher.description
        report(f"teacher: {about['file']}, {about['architecture']}, {_describe_size(teacher)}")
    loss = make_loss(options, state, teacher, accelerator)
    trial = _Trial(options, SourceCache(sources, Path(), []), state, loss, accelerator)
    fits = _try_steps(trial, name_precision(dtype), report)
    if fits and sets:
        seconds = _time_validation(options, state, sets, accelerator)
        total = seconds * (options.train.steps // options.validate_.interval)
        report(f"validation: {seconds:.1f} s each, {format_duration(total)} in all")
    report(f"memory: {measure_peak_gib():.2f} GiB")
    _report_fit(trial, report, fits=fits)


@dataclass(frozen=True)
class _Trial:
    """What steps are tried with."""

    options: Options
    cached: SourceCache[Any]
    state: TrainState
    loss: CombinedLoss
    accelerator: Accelerator

    def load_batches(self, batch_size: int) -> list[Batch]:
        """Load the batches of the first step."""
        data = self.options.datasets.train.model_copy(update={"batch_size": batch_size})
        datasets = self.options.datasets.model_copy(update={"train": data})
        options = self.options.model_copy(update={"datasets": datasets})
        count = count_batches_per_step(options)
        return load_first_batches(options, self.cached, self.accelerator, count)


def _try_steps(trial: _Trial, precision: str, report: Callable[[str], None]) -> bool:
    """Report gradients and time of the first steps; False where they do not fit the memory."""
    try:
        _measure_steps(trial, precision, report)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _measure_steps(trial: _Trial, precision: str, report: Callable[[str], None]) -> None:
    state, loss, accelerator = trial.state, trial.loss, trial.accelerator
    steps = trial.options.train.steps
    batches = trial.load_batches(trial.options.datasets.train.batch_size)
    for line in format_gradients(measure_gradients(state.networks, loss, batches[0], accelerator)):
        report(line)

    def time_step(step: int) -> float:
        return _time_step(state, loss, batches, step, accelerator)

    state.generator.network.train()
    with tune_convolutions(enabled=True):
        seconds = (
            steps * time_step(1)
            if state.gan is None
            else _estimate_gan_run(state.gan, steps, time_step)
        )
    report(
        f"steps: {seconds / steps:.3f} s each on {accelerator.device} in {precision},"
        f" so {steps} take {format_duration(seconds)}, if workers keep up"
    )


def _report_fit(trial: _Trial, report: Callable[[str], None], *, fits: bool) -> None:
    """Report which batch the memory suffices for; raise UserError where it is not the options'."""
    options, state, device = trial.options, trial.state, trial.accelerator.device
    data, accumulation = options.datasets.train, options.train.accumulation
    step = 1
    if state.gan is not None:
        kinds = _find_step_kinds(state.gan, state.gan.start_step + state.gan.warmup_steps)
        step = kinds.get("r1", kinds["both"])

    def measure(batch_size: int) -> int | None:
        release_memory(device)
        batches = trial.load_batches(batch_size)

        def try_step() -> None:
            measure_gradients(state.networks, trial.loss, batches[0], trial.accelerator)
            train_step(state, trial.loss, batches, step, trial.accelerator)

        return measure_peak_bytes(try_step, device)

    fit = measure_fit(measure, data.batch_size, count_usable_bytes(device))
    line = None
    if fit is not None:
        line = describe_fit(fit, data.batch_size, accumulation, data.crop_size, options.scale)
    if not fits:
        raise UserError(
            line
            or f"--check: a step does not fit the memory of {device}; use a smaller "
            "datasets.train.batch_size or crop_size, or a smaller network"
        )
    if line is not None:
        report(line)


def write_data_preview(options: Options, folder: Path) -> Path:
    """Write a sheet of the first lr/hr crops of a run into a folder. Returns its path."""
    device = resolve_device(options.train.device)
    sources, _ = find_sources(options, device)
    with name_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{options.name}.png"
    crops = load_crops(options, SourceCache(sources, Path(), []), device, num_workers=0)
    write_contact_sheet(path, crops, PREVIEWED_PAIRS)
    return path


def decode_all(sources: Sequence[Source[Any]]) -> None:
    """Decode every image once. Raises DataError naming all that cannot be used."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(_find_fault, sources) if fault is not None]
    raise_faults("images that cannot be used", faults)


def _find_fault(source: Source[Any]) -> str | None:
    try:
        _, *hr = source.load()  # none of an `LRImage`
    except ImageError as error:
        return str(error)
    expected, shape = source.hr_size, hr[0].shape if hr else None
    if shape is not None and shape[-3:-1] != expected:
        return f"{source.name}: expected {expected} (H, W) as in its header, got {shape}"
    return None


def _estimate_gan_run(gan: GANState, steps: int, time_step: Callable[[int], float]) -> float:
    """Estimate the seconds of a GAN run from one step of each kind: alone, both networks, with R1.

    time_step: step -> the seconds that one like it takes.
    """
    first = gan.start_step + gan.warmup_steps  # the first in which all terms count
    kinds = _find_step_kinds(gan, first)
    seconds = {kind: time_step(step) for kind, step in kinds.items()}
    with_discriminator = (steps - gan.start_step) // gan.interval + 1
    with_r1 = with_discriminator // gan.loss.r1_interval if "r1" in kinds else 0
    alone = seconds.get("alone", seconds["both"]) * (steps - with_discriminator)
    both = seconds["both"] * (with_discriminator - with_r1)
    return alone + both + seconds.get("r1", 0.0) * with_r1


def _find_step_kinds(gan: GANState, first: int) -> dict[str, int]:
    """Return a step of each kind, from `first` on, by name."""
    kinds: dict[str, int] = {}
    for step in range(first, first + 2 * gan.interval * gan.loss.r1_interval + 1):
        kind = "alone"
        if gan.updates_at(step):
            kind = "r1" if gan.loss.has_r1(gan.update_index(step)) else "both"
        kinds.setdefault(kind, step)
    kinds.setdefault("both", kinds.get("r1", first))  # R1 in every step
    return kinds


def _time_step(
    state: TrainState,
    loss: CombinedLoss,
    batches: Sequence[Batch],
    step: int,
    accelerator: Accelerator,
) -> float:
    """Return the mean seconds of a few steps; the first, which warms up, is not counted."""
    started = time.perf_counter()
    for repeat in range(TIMED_STEPS + 1):
        results = train_step(state, loss, batches, step, accelerator)
        for name, result in results.items():
            # With fp16 the first scale overflows, and is lowered.
            if not result.finite and accelerator.scaler is None:
                raise UserError(f"{name}: its first steps are not finite (loss {result.loss:g})")
        if repeat == 0:
            started = time.perf_counter()
    return (time.perf_counter() - started) / TIMED_STEPS


def _time_validation(
    options: Options, state: TrainState, sets: ValidationSets, accelerator: Accelerator
) -> float:
    lpips = build_validation_lpips(options.validate_, accelerator.device)
    started = time.perf_counter()
    validate(
        state.ema.network,
        sets,
        options.scale,
        accelerator.device,
        accelerator.autocast,
        lambda *_: None,
        lpips,
        build_window(options),
        make_tiling(options, accelerator),
        niqe=options.validate_.niqe,
    )
    return time.perf_counter() - started


def _describe_size(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"
