"""A whole training run, in the order in which things happen."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from sr.build import (
    build_generator,
    build_loss,
    build_optimizer,
    build_schedule,
    find_sources,
    load_initial_weights,
)
from sr.data.cache import CachedPairs, cache_pairs
from sr.data.crops import Crop, CropDataset, CropSettings, refuse_small_pictures
from sr.data.sampler import EndlessBatchSampler
from sr.data.sources import Source
from sr.devices import (
    precision_name,
    refuse_several_processes,
    resolve_device,
    resolve_precision,
)
from sr.io.model_file import write_model_file
from sr.networks.receptive import measure_receptive_radius
from sr.options.load import dump_options
from sr.options.schema import Options
from sr.training.checkpoint import (
    CheckpointError,
    model_path,
    prune,
    read_state,
    state_path,
    write_state,
)
from sr.training.ema import Ema
from sr.training.interruption import Interruption
from sr.training.logging import RunLog
from sr.training.loop import Plan, Trainee, make_accelerator, restore, run_loop, state_of
from sr.training.run_folder import PICTURES, describe_run, hardware, locked, open_folder
from sr.training.validate import Sets, mean_psnr, validate, validate_bicubic


def train(options: Options, resume: str = "auto") -> bool:
    """Train as the options say. Returns False when interrupted by Ctrl-C or SIGTERM.

    resume: auto goes on from the run's last state file if there is one; never moves an existing
    run aside and starts anew; anything else is the state file to go on from.
    Raises ValueError (DataError, CheckpointError, ...) or OSError for what the user can mend.
    """
    refuse_several_processes()
    device = resolve_device(options.train.device)
    dtype = resolve_precision(options.train.precision, device)
    sources = find_sources(options.datasets.train.source, options.scale)
    refuse_small_pictures(sources, options.datasets.train.crop_size)
    sets: Sets = {
        part.name: find_sources(part.source, options.scale) for part in options.datasets.validation
    }
    folder = options.log.folder / options.name
    with locked(folder):
        state_file = open_folder(folder, resume)
        accelerator = make_accelerator(device, dtype)
        trainee = _make_trainee(options, accelerator, state_file)
        describe_run(folder, dump_options(options), options.seed, device, precision_name(dtype))
        try:
            return _train(options, trainee, sources, sets, accelerator, dtype, folder)
        finally:
            (folder / PICTURES).unlink(missing_ok=True)


def _train(
    options: Options,
    trainee: Trainee,
    sources: Sequence[Source],
    sets: Sets,
    accelerator: Accelerator,
    dtype: torch.dtype,
    folder: Path,
) -> bool:
    """From the first picture decoded to the last step saved."""
    channels_last = _channels_last(options, dtype)
    if channels_last:
        trainee.generator.to(memory_format=torch.channels_last)
    forward = torch.compile(trainee.generator) if options.train.compile else trainee.generator
    plan = Plan(
        steps=options.train.steps,
        clip_norm=options.train.clip_norm,
        base_learning_rates=[group["lr"] for group in trainee.optimizer.param_groups],
        learning_rate_factor=build_schedule(options.train),
        validate_interval=options.validate_.interval,
        checkpoint_interval=options.train.checkpoint_interval,
        channels_last=channels_last,
    )
    first_step = trainee.step + 1
    metadata = _metadata(options, trainee, accelerator.device)
    checkpoints = _Checkpoints(folder / "checkpoints", options.train.keep_last, metadata)
    with (
        Interruption() as interruption,
        RunLog(folder, plan.steps, first_step, options.log.interval) as log,
    ):
        limit = int(options.datasets.train.cache_gib * 2**30)
        pairs = cache_pairs(sources, folder / PICTURES, limit)
        where = f"{accelerator.device}, {precision_name(dtype)}"
        log.say(_opening(options, pairs, trainee, where))
        log.start(
            step=trainee.step,
            steps=plan.steps,
            folder=folder,
            device=str(accelerator.device),
            precision=precision_name(dtype),
            options=checkpoints.metadata["options"],
        )
        validator = _validator(options, trainee, sets, accelerator, checkpoints, log)
        log.skip_time(trainee.step)
        finished = run_loop(
            trainee,
            forward,
            build_loss(options.losses),
            _batches(options, pairs, first_step, accelerator.device),
            plan,
            accelerator,
            log,
            validate=validator,
            save=partial(_save, trainee, accelerator, checkpoints),
            interrupted=interruption.requested,
        )
        log.done(step=trainee.step, finished=finished)
        path = model_path(checkpoints.folder, trainee.step)
        log.say(f"{'finished' if finished else 'interrupted'}, saved {path}")
    return finished


def _make_trainee(options: Options, accelerator: Accelerator, state_file: Path | None) -> Trainee:
    """Network, its mean and optimizer: before the first step, or as a state file has them."""
    torch.manual_seed(options.seed)
    generator = build_generator(options.generator, options.scale).to(accelerator.device)
    if options.train.initial_generator is not None and state_file is None:
        load_initial_weights(generator, options.train.initial_generator, options.scale)
    optimizer = build_optimizer(options.train.optimizer, generator)
    optimizer = accelerator.prepare_optimizer(optimizer)
    trainee = Trainee(generator, Ema(generator, options.train.ema_decay), optimizer)
    if state_file is not None:
        _resume(trainee, options, accelerator, state_file)
    return trainee


def _resume(trainee: Trainee, options: Options, accelerator: Accelerator, state_file: Path) -> None:
    """Take over a state file, unless it is of another network or already at the end."""
    state = read_state(state_file)
    try:
        theirs, ours = state["options"], options.model_dump(mode="json", by_alias=True)
        for name, expected, came in (
            ("scale", ours["scale"], theirs["scale"]),
            ("generator", ours["generator"], theirs["generator"]),
            (
                "optimizer",
                ours["train"]["optimizer"]["type"],
                theirs["train"]["optimizer"]["type"],
            ),
        ):
            if expected != came:
                raise CheckpointError(
                    f"{state_file}: expected a state with {name} {expected}, got {came}; use "
                    "another name for a new run, or --resume never"
                )
        restore(trainee, state, accelerator)
        if theirs["datasets"]["validation"] != ours["datasets"]["validation"]:
            trainee.best = float("-inf")  # of other sets
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{state_file}: does not fit these options: {error}") from None
    if trainee.step >= options.train.steps:
        raise CheckpointError(
            f"{state_file}: already at step {trainee.step} of {options.train.steps}; raise "
            "train.steps to go on, or use --resume never for a new run"
        )


def _channels_last(options: Options, dtype: torch.dtype) -> bool:
    choice = options.train.memory_format
    return choice == "channels_last" or (choice == "auto" and dtype != torch.float32)


def _batches(
    options: Options, pairs: CachedPairs, first_step: int, device: torch.device
) -> Iterator[Crop]:
    """Batches from `first_step` on, prepared by worker processes."""
    data = options.datasets.train
    settings = CropSettings(data.crop_size, data.detail_candidates, data.flips, data.transposes)
    loader: DataLoader[Crop] = DataLoader(
        CropDataset(pairs, options.scale, settings, options.seed),
        batch_sampler=EndlessBatchSampler(len(pairs), data.batch_size, options.seed, first_step),
        num_workers=data.num_workers,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if data.num_workers else None,
        # Forked workers would hang: libvips has started threads in this process.
        multiprocessing_context="spawn" if data.num_workers else None,
    )
    # Ctrl-C reaches all processes of a terminal; workers inherit that they are to ignore it.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return iter(loader)
    finally:
        signal.signal(signal.SIGINT, handler)


def _validator(
    options: Options,
    trainee: Trainee,
    sets: Sets,
    accelerator: Accelerator,
    checkpoints: "_Checkpoints",
    log: RunLog,
) -> Callable[[], None]:
    """A function that measures the averaged weights, logs the scores and keeps the best."""
    if not sets:
        return lambda: None
    bicubic = validate_bicubic(sets, options.scale)

    def run() -> None:
        def show(name: str, index: int, lr: Tensor, sr: Tensor, hr: Tensor) -> None:
            if index < options.log.num_images:
                log.picture(trainee.step, f"{name}/{index}", lr, sr, hr)

        scores = validate(
            trainee.ema.network, sets, options.scale, accelerator.device, accelerator.autocast, show
        )
        best = mean_psnr(scores) > trainee.best
        if best:
            trainee.best = mean_psnr(scores)
            checkpoints.write_model(trainee, checkpoints.folder / "best.safetensors")
        log.validation(trainee.step, scores, bicubic, best)

    return run


@dataclass(frozen=True)
class _Checkpoints:
    """Where checkpoints go and what their metadata says beside the step."""

    folder: Path
    keep_last: int
    metadata: dict[str, Any]

    def write_model(self, trainee: Trainee, path: Path) -> None:
        """The averaged weights, ready for infer.py."""
        metadata = {**self.metadata, "step": trainee.step}
        write_model_file(path, trainee.ema.network.state_dict(), metadata)


def _metadata(options: Options, trainee: Trainee, device: torch.device) -> dict[str, Any]:
    """What a model file says of itself."""
    data = options.datasets.train
    return {
        "generator": options.generator.model_dump(mode="json"),
        "scale": options.scale,
        "ema": options.train.ema_decay > 0,
        "receptive_radius": measure_receptive_radius(trainee.generator),
        "training_data": data.description,
        "licence": data.licence,
        "hardware": hardware(device),
        "options": options.model_dump(mode="json", by_alias=True),
    }


def _save(trainee: Trainee, accelerator: Accelerator, checkpoints: _Checkpoints) -> None:
    """Model and state of the step, the state last: where it is, the model is too."""
    checkpoints.write_model(trainee, model_path(checkpoints.folder, trainee.step))
    state = state_of(trainee, accelerator)
    state["options"] = checkpoints.metadata["options"]
    write_state(state_path(checkpoints.folder, trainee.step), state)
    prune(checkpoints.folder, checkpoints.keep_last)


def _opening(options: Options, pairs: CachedPairs, trainee: Trainee, where: str) -> str:
    """The first line of a run: what is trained on what."""
    count = sum(parameter.numel() for parameter in trainee.generator.parameters())
    begun = f"from step {trainee.step}" if trainee.step else "from scratch"
    decoded = len(pairs.sources) - len(pairs.blocks)
    uncached = f" ({decoded} not cached: raise datasets.train.cache_gib)" if decoded else ""
    return (
        f"{options.name}: {options.generator.type} x{options.scale}, {count:,} parameters, "
        f"{len(pairs)} pictures{uncached}, {begun} to {options.train.steps}, on {where}"
    )
