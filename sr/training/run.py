"""A whole training run, in the order in which things happen."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from rich.console import Console
from torch import Tensor

from sr.build import find_receptive_radius
from sr.build_data import build_window
from sr.build_training import build_validation_lpips
from sr.data.cache import SourceCache
from sr.device import name_precision, resolve_precision, tune_convolutions
from sr.io.escape_controls import escape_controls
from sr.io.process_lock import hold_lock
from sr.models.teacher import Teacher
from sr.options.load import dump_options
from sr.options.schema import Options
from sr.training.agreement import check_agreement
from sr.training.checkpoint import model_path, save_checkpoint, write_model
from sr.training.data_loader import (
    count_batches_per_step,
    decode_sources,
    delete_decoded,
    find_sources,
    load_batches,
    load_first_batches,
)
from sr.training.describe_start import describe_start
from sr.training.distributed import (
    choose_local_device,
    get_dtype,
    leave_at_exit,
    make_accelerator,
    wait_for_everyone,
)
from sr.training.gradient_check import measure_gradients
from sr.training.logging import RunLog
from sr.training.loop import run_loop
from sr.training.run_folder import (
    name_os_errors,
    open_folder,
    remove_leftovers,
    resumes_run,
    write_run_description,
)
from sr.training.setup import (
    check_files,
    make_loss,
    make_metadata,
    make_state,
    make_teacher,
)
from sr.training.signals import catch_signals
from sr.training.state import TrainState
from sr.training.trackers import start_trackers
from sr.training.validate import (
    Tiling,
    ValidationInterrupted,
    ValidationSets,
    checkpoint_score,
    choose_score,
    validate,
    validate_bicubic,
)
from sr.training.validation_images import prune_steps, save_image

CatchInterruption = Callable[[], AbstractContextManager[Callable[[], bool]]]


def train(
    options: Options, resume: str = "auto", catch_interruption: CatchInterruption = catch_signals
) -> bool:
    """Train as the options say. Returns False when interrupted.

    resume: auto goes on from the run's last state file if there is one; never moves an existing
    run aside and starts again; anything else is the state file to go on from. catch_interruption:
    gives a function that is asked before each step, and after each validated image, whether to
    stop; by default for Ctrl-C, SIGTERM, SIGHUP and SIGUSR1. Raises a UserError (DataError,
    CheckpointError, ...) for what the user can fix.
    """
    device = choose_local_device(options.train.device)
    dtype = resolve_precision(options.train.precision, device)
    folder = options.log.folder / options.name
    check_files(options, resumes=resumes_run(folder, resume))
    sources, sets = find_sources(options, device)
    teacher = make_teacher(options)
    accelerator = make_accelerator(device, dtype)
    check_agreement(accelerator, options.model_dump(), sources, sets)
    with ExitStack() as stack:
        state_file, num_removed = None, 0
        if accelerator.is_main_process:
            with name_os_errors(folder):
                folder.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(hold_lock(folder))
                num_removed = remove_leftovers(folder)
                state_file = open_folder(folder, resume)
        (state_file,) = broadcast_object_list([state_file])
        state, missing_keys = make_state(options, accelerator, state_file)
        if state.step >= options.train.steps and not state.validation_due:
            _print_done(options, state, state_file, accelerator)
            return True
        if accelerator.is_main_process:
            with name_os_errors(folder):
                write_run_description(
                    folder, dump_options(options), options.seed, device, name_precision(dtype)
                )
        if accelerator.is_local_main_process:
            stack.callback(delete_decoded, folder)
        interrupted = stack.enter_context(catch_interruption())
        with name_os_errors(folder):
            log = stack.enter_context(_open_log(options, state.step, accelerator, folder))
            cached = decode_sources(sources, folder, options.datasets.train.cache_gib, accelerator)
        if num_removed:
            log.print(f"{folder}: removed {num_removed} file(s) that runs left when killed")
        log.print(describe_start(options, cached, state, missing_keys, accelerator, dtype))
        with tune_convolutions(enabled=True):
            return _train_until_done(
                options, state, teacher, cached, sets, accelerator, dtype, log, interrupted, folder
            )


def _open_log(options: Options, step: int, accelerator: Accelerator, folder: Path) -> RunLog:
    """step: already done."""
    main, names = accelerator.is_main_process, options.log.trackers
    given = options.model_dump(mode="json", by_alias=True)
    return RunLog(
        folder if main else None,
        options.train.steps,
        first_step=step + 1,
        interval=options.log.interval,
        tensorboard="tensorboard" in names,
        trackers=start_trackers(names, options.log.project, options.name, folder, given)
        if main
        else (),
    )


def _print_done(
    options: Options, state: TrainState, state_file: Path | None, accelerator: Accelerator
) -> None:
    console = Console(stderr=True, quiet=not accelerator.is_main_process)
    console.print(
        f"{options.name}: done before, {escape_controls(state_file)} is of step {state.step} of "
        f"{options.train.steps}; raise train.steps to go on, or use --resume never for a new run",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _train_until_done(
    options: Options,
    state: TrainState,
    teacher: Teacher | None,
    cached: SourceCache[Any],
    sets: ValidationSets,
    accelerator: Accelerator,
    dtype: torch.dtype,
    log: RunLog,
    interrupted: Callable[[], bool],
    folder: Path,
) -> bool:
    """Train from the first batch to the last step saved."""
    train, checkpoints = options.train, folder / "checkpoints"
    metadata = make_metadata(options, teacher, accelerator.device)
    log.write_start(
        step=state.step,
        steps=train.steps,
        folder=folder,
        device=str(accelerator.device),
        processes=accelerator.num_processes,
        precision=name_precision(dtype),
        options=metadata["options"],
    )
    with accelerator.local_main_process_first():  # who downloads weights for all
        loss = make_loss(options, state, teacher, accelerator)
    (first_batch,) = load_first_batches(options, cached, accelerator, 1)
    log.write_gradients(
        state.step, measure_gradients(state.networks, loss, first_batch, accelerator)
    )

    def save() -> bool:
        save_checkpoint(checkpoints, state, metadata, train.keep_last)
        return True

    def write_best() -> None:
        write_model(checkpoints / "best.safetensors", state, metadata)

    def on_main_process(work: Callable[[], bool]) -> Callable[[], bool]:
        def run_on_main() -> bool:
            done = True
            if accelerator.is_main_process:
                with name_os_errors(folder):
                    done = work()
            wait_for_everyone(accelerator)
            return done

        return run_on_main

    validator = make_validator(options, state, sets, accelerator, log, write_best, interrupted)
    wait_for_everyone(accelerator)  # the main process has measured bicubic's scores
    log.restart_clock(state.step)
    finished = run_loop(
        state,
        loss,
        load_batches(options, cached, accelerator, state.draws),
        accelerator,
        log,
        steps=train.steps,
        batches_per_step=count_batches_per_step(options),
        batch_size=options.datasets.train.batch_size,
        seed=options.seed,
        max_nonfinite_steps=train.max_nonfinite_steps,
        validate_interval=options.validate_.interval,
        checkpoint_interval=train.checkpoint_interval,
        validate=on_main_process(validator),
        save=on_main_process(save),
        interrupted=interrupted,
    )
    log.write_done(step=state.step, finished=finished)
    leave_at_exit(accelerator)
    path = model_path(checkpoints, state.step)
    log.print(f"{'finished' if finished else 'interrupted'}, saved {path}")
    return finished


def make_tiling(options: Options, accelerator: Accelerator) -> Tiling | None:
    """Make what large images are validated with; None: every image as a whole."""
    size = options.validate_.tile_size
    halo = find_receptive_radius(options.generator, options.scale) if size else 0
    return Tiling(size, halo, get_dtype(accelerator)) if size else None


def make_validator(
    options: Options,
    state: TrainState,
    sets: ValidationSets,
    accelerator: Accelerator,
    log: RunLog,
    write_best: Callable[[], None],
    interrupted: Callable[[], bool],
) -> Callable[[], bool]:
    """Make the function that measures the averaged weights, logs scores and writes the best.

    It returns False, without any of these, once it is interrupted: launchers wait half a minute.
    """
    if not sets or not accelerator.is_main_process:
        return lambda: True
    lpips = build_validation_lpips(options.validate_, accelerator.device)
    niqe = options.validate_.niqe
    bicubic = validate_bicubic(sets, options.scale, lpips, niqe=niqe)
    baseline = "bicubic" if options.scale > 1 else "the input"
    window, tiling = build_window(options), make_tiling(options, accelerator)

    images_folder = options.log.folder / options.name / "validation"

    def show(name: str, index: int, lr: Tensor, sr: Tensor, hr: Tensor | None) -> None:
        if interrupted():
            raise ValidationInterrupted
        if index < options.validate_.save_images:
            save_image(images_folder, sets, state.step, name, index, sr)
        if index < options.log.num_images:
            log.write_image(state.step, f"{name}/{index}", lr, sr, hr)

    def run_validation() -> bool:
        try:
            scores = validate(
                state.ema.network,
                sets,
                options.scale,
                accelerator.device,
                accelerator.autocast,
                show,
                lpips,
                window,
                tiling,
                niqe=niqe,
            )
        except ValidationInterrupted:
            return False
        prune_steps(images_folder, options.train.keep_last)
        by = choose_score(options.validate_.best_by, adversarial=state.gan is not None)
        score = checkpoint_score(scores, by)
        best = score is not None and score > state.best_score
        if score is not None and best:
            state.best_score = score
            write_best()
        log.write_validation(state.step, scores, bicubic, best, baseline)
        return True

    return run_validation
