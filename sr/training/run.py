"""A whole training run, in the order in which things happen."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from sr.build_data import build_window, find_training_sources, find_validation_sources
from sr.build_training import build_validation_lpips
from sr.data.cache import SourceCache, get_index_path
from sr.data.crops import refuse_small_images
from sr.data.sources import Source
from sr.device import precision_name, resolve_device, resolve_precision
from sr.models.load import preview_names
from sr.models.teacher import Teacher
from sr.options.clips import ClipSource
from sr.options.load import dump_options
from sr.options.schema import Options
from sr.training.data_loader import decode, endless_batches, first_batches, images_path
from sr.training.distributed import local_device, make_accelerator
from sr.training.gradient_check import TermShare, as_table, measure_terms
from sr.training.logging import RunLog
from sr.training.loop import run_loop
from sr.training.parts import Training
from sr.training.run_folder import describe_run, locked, open_folder
from sr.training.saving import Checkpoints, make_checkpoints
from sr.training.setup import find_teacher, make_trainee, make_training
from sr.training.signals import Interruption
from sr.training.state import Trainee
from sr.training.steps import Batch
from sr.training.validate import MIN_SIDE, Sets, rating, validate, validate_bicubic


def train(options: Options, resume: str = "auto") -> bool:
    """Train as the options say. Returns False when interrupted by Ctrl-C or SIGTERM.

    resume: auto goes on from the run's last state file if there is one; never moves an existing
    run aside and starts again; anything else is the state file to go on from.
    Raises ValueError (DataError, CheckpointError, ...) or OSError for what the user can fix.
    """
    device = local_device(resolve_device(options.train.device))
    dtype = resolve_precision(options.train.precision, device)
    sources, sets = find_images(options, device)
    teacher = find_teacher(options)
    folder = options.log.folder / options.name
    accelerator = make_accelerator(device, dtype)
    with ExitStack() as stack:
        state_file = None
        if accelerator.is_main_process:
            stack.enter_context(locked(folder))
            state_file = open_folder(folder, resume)
        (state_file,) = broadcast_object_list([state_file])
        trainee = make_trainee(options, accelerator, state_file)
        if accelerator.is_main_process:
            describe_run(folder, dump_options(options), options.seed, device, precision_name(dtype))
        try:
            return _train(options, trainee, teacher, sources, sets, accelerator, dtype, folder)
        finally:
            if accelerator.is_local_main_process:
                images_path(folder).unlink(missing_ok=True)
                get_index_path(images_path(folder)).unlink(missing_ok=True)


def find_images(options: Options, device: torch.device) -> tuple[Sequence[Source[Any]], Sets]:
    """Training and validation images or clips, headers read. Raises DataError naming all faults.

    device: of what measures flow.
    """
    sources = find_training_sources(options, device)
    refuse_small_images(sources, options.datasets.train.crop_size, "the crop")
    sets: Sets = find_validation_sources(options, device)
    validated = [source for part in sets.values() for source in part]
    least = MIN_SIDE["SSIM" if options.validate_.lpips is None else options.validate_.lpips.network]
    refuse_small_images(validated, least + 2 * options.scale, "what validation measures")
    return sources, sets


def _train(
    options: Options,
    trainee: Trainee,
    teacher: Teacher | None,
    sources: Sequence[Source[Any]],
    sets: Sets,
    accelerator: Accelerator,
    dtype: torch.dtype,
    folder: Path,
) -> bool:
    """From the first image decoded to the last step saved."""
    main = accelerator.is_main_process
    checkpoints = make_checkpoints(options, folder, accelerator.device, teacher)
    steps, first_step = options.train.steps, trainee.step + 1
    with (
        Interruption() as interruption,
        RunLog(folder if main else None, steps, first_step, options.log.interval) as log,
    ):
        cached = decode(sources, folder, options.datasets.train.cache_gib, accelerator)
        log.say(opening(options, cached, trainee, accelerator, dtype))
        log.start(
            step=trainee.step,
            steps=steps,
            folder=folder,
            device=str(accelerator.device),
            processes=accelerator.num_processes,
            precision=precision_name(dtype),
            options=checkpoints.metadata["options"],
        )
        training = make_training(options, trainee, accelerator, log, teacher)
        shares = liveness_of(training, *first_batches(options, cached, accelerator, 1))
        log.liveness(trainee.step, as_table(shares), shares)
        validator = make_validator(training, sets, options, checkpoints)
        log.skip_time(trainee.step)
        finished = run_loop(
            training,
            endless_batches(options, cached, training),
            validate=_by_the_first(validator, accelerator),
            save=_by_the_first(lambda: checkpoints.save(trainee, accelerator), accelerator),
            interrupted=interruption.requested,
        )
        log.done(step=trainee.step, finished=finished)
        path = checkpoints.path_of(trainee.step)
        log.say(f"{'finished' if finished else 'interrupted'}, saved {path}")
    return finished


def liveness_of(training: Training, batch: Batch) -> list[TermShare]:
    """What each term of the loss does to the generator. Raises ZeroGradientError for nothing."""
    adversarial = training.trainee.adversarial
    return measure_terms(
        training.generator.network,
        None if adversarial is None else adversarial.discriminator,
        training.loss,
        batch,
        training.accelerator,
    )


def make_validator(
    training: Training, sets: Sets, options: Options, checkpoints: Checkpoints
) -> Callable[[], None]:
    """A function that measures the averaged weights, logs the scores and keeps the best."""
    if not sets:
        return lambda: None
    trainee, accelerator, log = training.trainee, training.accelerator, training.log
    if not accelerator.is_main_process:
        return lambda: None
    lpips = build_validation_lpips(options.validate_, accelerator.device)
    bicubic = validate_bicubic(sets, options.scale, lpips)

    def run() -> None:
        def show(name: str, index: int, lr: Tensor, sr: Tensor, hr: Tensor) -> None:
            if index < options.log.num_images:
                log.image(trainee.step, f"{name}/{index}", lr, sr, hr)

        scores = validate(
            trainee.ema.network,
            sets,
            options.scale,
            accelerator.device,
            accelerator.autocast,
            show,
            lpips,
            build_window(options),
        )
        rated = rating(scores, adversarial=trainee.adversarial is not None)
        best = rated is not None and rated > trainee.best
        if rated is not None and best:
            trainee.best = rated
            checkpoints.write_best(trainee)
        log.validation(trainee.step, scores, bicubic, best)

    return run


def _by_the_first(work: Callable[[], object], accelerator: Accelerator) -> Callable[[], None]:
    """Done by the first process, while the others wait."""

    def run() -> None:
        if accelerator.is_main_process:
            work()
        accelerator.wait_for_everyone()

    return run


def opening(
    options: Options,
    cached: SourceCache[Any],
    trainee: Trainee,
    accelerator: Accelerator,
    dtype: torch.dtype,
) -> str:
    """The first line of a run: what is trained on what."""
    count = sum(parameter.numel() for parameter in trainee.generator.parameters())
    begun = "from scratch"
    if trainee.step:
        begun = f"from step {trainee.step}"
    elif options.train.initial_generator is not None:
        begun = f"from {options.train.initial_generator}"
        if trainee.begun_anew:
            begun += (
                f" ({len(trainee.begun_anew)} tensors again: {preview_names(trainee.begun_anew)})"
            )
    decoded = len(cached.sources) - len(cached.blocks)
    uncached = f" ({decoded} not cached: raise datasets.train.cache_gib)" if decoded else ""
    kind = "clips" if isinstance(options.datasets.train.source, ClipSource) else "images"
    if options.losses.teacher is not None:
        begun += f", taught by {options.losses.teacher.model},"
    where = f"{accelerator.device}, {precision_name(dtype)}"
    if accelerator.num_processes > 1:
        where += f", {accelerator.num_processes} processes"
    return (
        f"{options.name}: {options.generator.type} x{options.scale}, {count:,} parameters, "
        f"{len(cached)} {kind}{uncached}, {begun} to {options.train.steps}, on {where}"
    )
