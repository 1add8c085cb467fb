"""Options -> what a run works with: networks, their optimizers, the loop's numbers."""

from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer

from sr.build import build_generator
from sr.build_data import build_clips_metadata
from sr.build_training import (
    build_discriminator,
    build_discriminator_loss,
    build_loss,
    build_optimizer,
    build_schedule,
)
from sr.io.model_file import ModelFileError
from sr.models.bundled import resolve_model
from sr.models.load import load_initial_weights
from sr.models.teacher import Teacher, load_teacher
from sr.optim.ema import Ema
from sr.options.schema import Options
from sr.training.checkpoint import CheckpointError, read_state
from sr.training.data_loader import channels_last
from sr.training.distributed import in_all_processes, with_shared_statistics
from sr.training.gan_monitor import Health, Limits
from sr.training.logging import RunLog
from sr.training.parts import Adversary, LearningRates, Plan, Training
from sr.training.state import Adversarial, Trainee, restore
from sr.training.steps import Forward, Trained


def make_trainee(options: Options, accelerator: Accelerator, state_file: Path | None) -> Trainee:
    """Networks, means and optimizers: before the first step, or as a state file has them."""
    torch.manual_seed(options.seed)
    layout = torch.channels_last if channels_last(options, accelerator) else None
    generator = build_generator(options.generator, options.scale)
    begun_anew: tuple[str, ...] = ()
    if options.train.initial_generator is not None and state_file is None:
        initial = options.train.initial_generator
        clips = build_clips_metadata(options).get("clips")
        begun_anew = load_initial_weights(
            generator,
            initial,
            options.generator,
            options.scale,
            clips,
            partial=options.train.initial_partial,
        )
    generator = _placed(generator, layout, accelerator)
    optimizer = accelerator.prepare_optimizer(build_optimizer(options.train.optimizer, generator))
    ema = Ema(generator, options.train.ema_decay)
    trainee = Trainee(generator, ema, optimizer, begun_anew=begun_anew)
    gan = options.train.gan
    if options.discriminator is not None and gan is not None:
        discriminator = build_discriminator(options.discriminator, options.datasets.train.crop_size)
        discriminator = _placed(discriminator, layout, accelerator)
        own = accelerator.prepare_optimizer(build_optimizer(gan.optimizer, discriminator))
        health = Health(Limits(**gan.monitor.model_dump()))
        trainee.adversarial = Adversarial(discriminator, own, health)
    if state_file is not None:
        _resume(trainee, options, accelerator, state_file)
    return trainee


def find_teacher(options: Options) -> Teacher | None:
    """What the generator is to learn from next to hr, on the CPU; None without losses.teacher.

    Raises ValueError naming the key, for a file that is no such model.
    """
    teacher, scale = options.losses.teacher, options.scale
    if teacher is None:
        return None
    try:
        lr_size = options.datasets.train.crop_size // scale
        return load_teacher(resolve_model(teacher.model), scale, lr_size)
    except ModelFileError as error:
        raise ValueError(f"losses.teacher.model: {error}") from None


def make_training(
    options: Options,
    trainee: Trainee,
    accelerator: Accelerator,
    log: RunLog,
    teacher: Teacher | None = None,
) -> Training:
    """What the loop works with. teacher: as `find_teacher` gives it; moved to the device."""
    train = options.train
    if teacher is not None:
        teacher.to(accelerator.device)
    adversarial = trainee.adversarial
    judge = None if adversarial is None else adversarial.discriminator
    return Training(
        trainee=trainee,
        generator=_trained(
            options, trainee.generator, trainee.optimizer, train.clip_norm, accelerator
        ),
        loss=build_loss(options.losses, judge, accelerator.autocast, accelerator.device, teacher),
        learning_rates=LearningRates(
            _base_learning_rates(trainee.optimizer), build_schedule(train.schedule, train.steps)
        ),
        adversary=_make_adversary(options, trainee, accelerator),
        plan=Plan(
            steps=train.steps,
            accumulation=train.accumulation,
            max_nonfinite_steps=train.max_nonfinite_steps,
            validate_interval=options.validate_.interval,
            checkpoint_interval=train.checkpoint_interval,
        ),
        accelerator=accelerator,
        log=log,
    )


def _placed(
    network: nn.Module, layout: torch.memory_format | None, accelerator: Accelerator
) -> nn.Module:
    """On the device, in its layout, with statistics as the processes share them."""
    network = with_shared_statistics(network, accelerator).to(accelerator.device)
    return network if layout is None else network.to(memory_format=layout)


def _trained(
    options: Options,
    network: nn.Module,
    optimizer: Optimizer,
    clip_norm: float | None,
    accelerator: Accelerator,
) -> Trained:
    forward: nn.Module | Forward = in_all_processes(network, accelerator)
    if options.train.compile:
        forward = torch.compile(forward)
    return Trained(network, forward, optimizer, clip_norm)


def _make_adversary(
    options: Options, trainee: Trainee, accelerator: Accelerator
) -> Adversary | None:
    gan, judged = options.train.gan, options.losses.adversarial
    if trainee.adversarial is None or gan is None or judged is None:
        return None
    optimizer = trainee.adversarial.optimizer
    schedule = gan.schedule or options.train.schedule
    return Adversary(
        trained=_trained(
            options, trainee.adversarial.discriminator, optimizer, gan.clip_norm, accelerator
        ),
        loss=build_discriminator_loss(judged),
        learning_rates=LearningRates(
            _base_learning_rates(optimizer), build_schedule(schedule, options.train.steps)
        ),
        health=trainee.adversarial.health,
        start_step=gan.start_step,
        lead_steps=gan.lead_steps,
        interval=gan.interval,
        updates=gan.updates,
    )


def _base_learning_rates(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def _resume(trainee: Trainee, options: Options, accelerator: Accelerator, state_file: Path) -> None:
    """Take over a state file, unless it is of other networks or already at the end."""
    state = read_state(state_file)
    try:
        theirs, ours = state["options"], options.model_dump(mode="json", by_alias=True)
        theirs["datasets"].setdefault("window")  # of a run before there were clips
        for name, keys in (
            ("scale", ("scale",)),
            ("generator", ("generator",)),
            ("window", ("datasets", "window")),
            ("discriminator", ("discriminator",)),
            ("optimizer", ("train", "optimizer", "type")),
            ("discriminator's optimizer", ("train", "gan", "optimizer", "type")),
        ):
            expected, got = _at(ours, keys), _at(theirs, keys)
            if expected != got:
                raise CheckpointError(
                    f"{state_file}: expected a state with {name} {expected}, got {got}; use "
                    "another name for a new run, or --resume never"
                )
        restore(trainee, state, accelerator)
        other_sets = theirs["datasets"]["validation"] != ours["datasets"]["validation"]
        other_lpips = theirs["validate"].get("lpips") != ours["validate"]["lpips"]
        if other_sets or (other_lpips and trainee.adversarial is not None):
            trainee.best = float("-inf")
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{state_file}: does not fit these options: {error}") from None
    if trainee.step >= options.train.steps:
        raise CheckpointError(
            f"{state_file}: already at step {trainee.step} of {options.train.steps}; raise "
            "train.steps to go on, or use --resume never for a new run"
        )


def _at(tree: object, keys: Sequence[str]) -> object:
    for key in keys:
        if tree is None:  # a section that was left out
            return None
        tree = tree[key]  # type: ignore[index]  # a missing key is the caller's KeyError
    return tree
