"""Options -> what a run works with: the state of both networks, teacher, loss, model metadata."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from sr.build import build_generator, find_receptive_radius
from sr.build_data import build_clips_metadata
from sr.build_losses import LossParts, build_loss, build_uncertainty
from sr.build_training import (
    build_discriminator,
    build_discriminator_loss,
    build_optimizer,
    build_schedule,
)
from sr.errors import ModelFileError, UserError
from sr.losses.combined import CombinedLoss
from sr.models.find_model import resolve_model
from sr.models.initial_weights import load_initial_weights
from sr.models.teacher import Teacher, load_teacher
from sr.networks.gradient_checkpointing import checkpoint_blocks
from sr.optim.ema import Ema
from sr.optim.library_optimizers import import_library
from sr.options.generator import BasicSROptions, SpandrelOptions
from sr.options.optimizers import LIBRARY_OPTIMIZERS, OptimizerOptions, ScheduleOptions
from sr.options.schema import Options
from sr.training.checkpoint import CheckpointError, read_state
from sr.training.data_loader import uses_channels_last
from sr.training.distributed import distribute_network, get_dtype, share_batch_statistics
from sr.training.gan_monitor import GANMonitor
from sr.training.initial_discriminator import load_initial_discriminator
from sr.training.run_folder import describe_hardware
from sr.training.state import GANState, NetworkState, TrainState
from sr.training.trackers import check_trackers


def check_files(options: Options, *, resumes: bool = False) -> None:
    """Check what needs no images: files that options name, generators and optimizers of others.

    resumes: whether a state file takes the place of initial weights. Raises UserError naming the
    key. What is in the files is looked at later, where they are loaded.
    """
    train, losses, terms = options.train, options.losses, options.losses.terms.items()
    initial = {
        "train.initial_generator": train.initial_generator,
        "train.gan.initial_discriminator": train.gan and train.gan.initial_discriminator,
    }
    files = {
        **({} if resumes else initial),
        **{f"losses.{key}.weights": getattr(term, "weights", None) for key, term in terms},
        "validate.lpips.weights": options.validate_.lpips and options.validate_.lpips.weights,
    }
    for key, path in files.items():
        if isinstance(path, Path) and not path.is_file():
            raise UserError(f"{key}: {path}: no such model file")
    check_trackers(options.log.trackers)
    for optimizer in (train.optimizer, train.gan and train.gan.optimizer):
        if isinstance(optimizer, LIBRARY_OPTIMIZERS):
            import_library(optimizer.type)
    if losses.teacher is not None:
        with name_key("losses.teacher.model"):
            resolve_model(losses.teacher.model)
    if isinstance(options.generator, BasicSROptions | SpandrelOptions):
        with torch.random.fork_rng(devices=[]):
            build_generator(options.generator, options.scale)


@contextmanager
def name_key(key: str) -> Iterator[None]:
    """Put the key of an option before what is wrong with the file that it names."""
    try:
        yield
    except ModelFileError as error:
        raise UserError(f"{key}: {error}") from None


def make_state(
    options: Options, accelerator: Accelerator, state_file: Path | None
) -> tuple[TrainState, tuple[str, ...]]:
    """Make the state before the first step, or load it from a state file.

    Also returns the names of the tensors that train.initial_generator did not have, and after
    `discriminator.` those that train.gan.initial_discriminator did not have.
    """
    train = options.train
    torch.manual_seed(options.seed)
    generator = build_generator(options.generator, options.scale)
    missing_keys: tuple[str, ...] = ()
    if train.initial_generator is not None and state_file is None:
        missing_keys = load_initial_weights(
            generator,
            train.initial_generator,
            options.generator,
            options.scale,
            build_clips_metadata(options).get("clips"),
            partial=train.initial_partial,
        )
    generator = _place_network(generator, options, accelerator)
    state = TrainState(
        ema=Ema(generator, train.ema_decay),  # a copy, before the network is wrapped
        generator=_make_network_state(
            generator,
            train.optimizer,
            train.schedule,
            train.clip_norm,
            options.train.steps,
            compiled=train.compile,
            accelerator=accelerator,
        ),
        gan=_make_gan_state(options, accelerator),
        uncertainty=build_uncertainty(options.losses),
        scaler=accelerator.scaler,
    )
    if state_file is not None:
        _load_state(state, options, state_file, accelerator)
    elif state.gan is not None and train.gan is not None and train.gan.initial_discriminator:
        missing = load_initial_discriminator(
            state.gan.discriminator.network,
            train.gan.initial_discriminator,
            partial=train.gan.initial_partial,
        )
        missing_keys += tuple(f"discriminator.{name}" for name in missing)
    if train.gradient_checkpointing:
        checkpoint_blocks(generator)  # not of the mean weights, which have no backward pass
    return state, missing_keys


def make_teacher(options: Options) -> Teacher | None:
    """Load what the generator learns from next to hr, on the CPU; None without losses.teacher.

    Raises UserError naming the key, for a file that is no such model.
    """
    teacher, scale = options.losses.teacher, options.scale
    if teacher is None:
        return None
    with name_key("losses.teacher.model"):
        lr_size = options.datasets.train.crop_size // scale
        return load_teacher(resolve_model(teacher.model), scale, lr_size)


def make_loss(
    options: Options, state: TrainState, teacher: Teacher | None, accelerator: Accelerator
) -> CombinedLoss:
    """Make the generator's loss. teacher: from `make_teacher`; moved to the device."""
    if teacher is not None:
        teacher.to(accelerator.device)
    discriminator = None if state.gan is None else state.gan.discriminator.network
    last = uses_channels_last(options, accelerator)
    parts = LossParts(
        discriminator=discriminator,
        autocast=accelerator.autocast,
        device=accelerator.device,
        teacher=teacher,
        averaged=state.ema.network,
        seed=options.seed,
        dtype=get_dtype(accelerator),
        layout=torch.channels_last if last else torch.contiguous_format,
    )
    return build_loss(options.losses, parts)


def make_metadata(
    options: Options, teacher: Teacher | None, device: torch.device
) -> dict[str, Any]:
    """Return what the run's model files say of themselves, next to the step."""
    data = options.datasets.train
    return {
        "generator": options.generator.model_dump(mode="json"),
        "scale": options.scale,
        **build_clips_metadata(options),
        "ema": options.train.ema_decay > 0,
        "receptive_radius": find_receptive_radius(options.generator, options.scale),
        "training_data": data.description,
        "licence": data.licence,
        **({} if teacher is None else {"teacher": teacher.description}),
        "hardware": describe_hardware(device),
        "options": options.model_dump(mode="json", by_alias=True),
    }


def _make_gan_state(options: Options, accelerator: Accelerator) -> GANState | None:
    train, adversarial = options.train, options.losses.adversarial
    if options.discriminator is None or train.gan is None or adversarial is None:
        return None  # the schema asks for all or none
    gan, limits = train.gan, train.gan.monitor.model_dump()
    discriminator = build_discriminator(options.discriminator, options.datasets.train.crop_size)
    discriminator = _place_network(discriminator, options, accelerator)
    shared = any(isinstance(module, nn.SyncBatchNorm) for module in discriminator.modules())
    if adversarial.r1_weight > 0 and shared:
        raise UserError(
            "losses.adversarial.r1_weight: expected 0 with batch normalization in the discriminator"
            " and several GPUs, whose shared statistics have no second derivative, got "
            f"{adversarial.r1_weight:g}; another discriminator.normalisation works with R1"
        )
    return GANState(
        discriminator=_make_network_state(
            discriminator,
            gan.optimizer,
            gan.schedule or train.schedule,
            gan.clip_norm,
            train.steps,
            compiled=False,
            accelerator=accelerator,
        ),
        loss=build_discriminator_loss(adversarial),
        # Option keys keep the spelling that older files have.
        monitor=GANMonitor(max_color_drift=limits.pop("max_colour_drift"), **limits),
        start_step=gan.start_step,
        warmup_steps=gan.lead_steps,
        interval=gan.interval,
        updates=gan.updates,
    )


def _place_network(network: nn.Module, options: Options, accelerator: Accelerator) -> nn.Module:
    """Move to the device, in its layout, with statistics as the processes share them."""
    network = share_batch_statistics(network, accelerator).to(accelerator.device)
    if uses_channels_last(options, accelerator):
        return network.to(memory_format=torch.channels_last)
    return network


def _make_network_state(
    network: nn.Module,
    optimizer: OptimizerOptions,
    schedule: ScheduleOptions,
    clip_norm: float | None,
    steps: int,
    *,
    compiled: bool,
    accelerator: Accelerator,
) -> NetworkState:
    """compiled: not for discriminators. Spectral normalization changes its vectors in every pass,
    and compiled code keeps them for a backward pass that comes after the next pass.
    """
    forward = distribute_network(network, accelerator)
    return NetworkState(
        network,
        accelerator.prepare_optimizer(build_optimizer(optimizer, network)),
        forward=torch.compile(forward) if compiled else forward,
        clip_norm=clip_norm,
        schedule=build_schedule(schedule, steps),
    )


def _load_state(
    state: TrainState, options: Options, state_file: Path, accelerator: Accelerator
) -> None:
    """Load a state file, unless it is of other networks."""
    saved = read_state(state_file)
    try:
        theirs, ours = saved["options"], options.model_dump(mode="json", by_alias=True)
        theirs["datasets"].setdefault("window")  # of a run before there were clips
        for name, keys in (
            ("scale", ("scale",)),
            ("generator", ("generator",)),
            ("window", ("datasets", "window")),
            ("discriminator", ("discriminator",)),
            ("optimizer", ("train", "optimizer", "type")),
            ("discriminator's optimizer", ("train", "gan", "optimizer", "type")),
        ):
            expected, got = _get_option(ours, keys), _get_option(theirs, keys)
            if expected != got:
                raise CheckpointError(
                    f"{state_file}: expected a state with {name} {expected}, got {got}; use "
                    "another name for a new run, or --resume never"
                )
        per_step = _count_draws(theirs) * accelerator.num_processes
        saved.setdefault("draws", saved["step"] * per_step)  # of a run that did not count them
        state.load_state_dict(saved)
        other_sets = theirs["datasets"]["validation"] != ours["datasets"]["validation"]
        other_lpips = theirs["validate"].get("lpips") != ours["validate"]["lpips"]
        other_score = theirs["validate"].get("best_by", "auto") != ours["validate"]["best_by"]
        if other_sets or other_score or (other_lpips and state.gan is not None):
            state.best_score = float("-inf")
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{state_file}: does not fit these options: {error}") from None


def _count_draws(options: Any) -> int:
    """Return how many images a process takes in each step."""
    train = options["train"]
    updates = train["gan"]["updates"] if train["gan"] else 1
    return int(train["accumulation"] * updates * options["datasets"]["train"]["batch_size"])


def _get_option(tree: object, keys: Sequence[str]) -> object:
    for key in keys:
        if tree is None:  # a section that was left out
            return None
        tree = tree[key]  # type: ignore[index]  # a missing key is the caller's KeyError
    return tree
