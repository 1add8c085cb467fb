"""Options -> what a run works with: networks, their optimizers, batches, the loop's numbers."""

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, default_collate

from sr.build import (
    build_discriminator,
    build_discriminator_loss,
    build_generator,
    build_loss,
    build_optimizer,
    build_schedule,
)
from sr.build_data import build_degradation, build_window_settings, clips_metadata
from sr.data.cache import Cached, cache, open_cached, write_index
from sr.data.clip_crops import ClipCropDataset, join
from sr.data.crops import Crop, CropDataset, CropSettings, one_thread
from sr.data.sampler import EndlessBatchSampler
from sr.data.sources import Source
from sr.models.load import load_initial_weights
from sr.options.clips import ClipSource
from sr.options.schema import Options
from sr.training.checkpoint import CheckpointError, read_state
from sr.training.ema import Ema
from sr.training.health import Health, Limits
from sr.training.logging import RunLog
from sr.training.parts import Adversary, LearningRates, Plan, Training
from sr.training.processes import in_all_processes, with_shared_statistics
from sr.training.steps import Batch, Forward, Trained, to_device
from sr.training.trainee import Adversarial, Trainee, restore


def make_trainee(options: Options, accelerator: Accelerator, state_file: Path | None) -> Trainee:
    """Networks, means and optimizers: before the first step, or as a state file has them."""
    torch.manual_seed(options.seed)
    layout = torch.channels_last if _channels_last(options, accelerator) else None
    generator = build_generator(options.generator, options.scale)
    begun_anew: tuple[str, ...] = ()
    if options.train.initial_generator is not None and state_file is None:
        initial = options.train.initial_generator
        clips = clips_metadata(options).get("clips")
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


def make_training(
    options: Options, trainee: Trainee, accelerator: Accelerator, log: RunLog
) -> Training:
    """What the loop works with."""
    train = options.train
    adversarial = trainee.adversarial
    judge = None if adversarial is None else adversarial.discriminator
    return Training(
        trainee=trainee,
        generator=_trained(
            options, trainee.generator, trainee.optimizer, train.clip_norm, accelerator
        ),
        loss=build_loss(options.losses, judge, accelerator.autocast, accelerator.device),
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


def decode(
    sources: Sequence[Source[Any]], folder: Path, cache_gib: float, accelerator: Accelerator
) -> Cached[Any]:
    """Decoded pictures or clips in a file of this machine's own in the run's folder.

    Where several processes share a machine, one of them decodes and the others wait.
    """
    file = pictures_path(folder)
    if accelerator.is_local_main_process:
        write_index(cache(sources, file, int(cache_gib * 2**30)))
    accelerator.wait_for_everyone()
    return open_cached(sources, file)


def pictures_path(folder: Path) -> Path:
    """The file of decoded pictures; machines that share the folder have one each."""
    return folder / f"pictures.{os.environ.get('GROUP_RANK', '0')}.bin"


def endless_batches(
    options: Options, cached: Cached[Any], training: Training, num_workers: int | None = None
) -> Iterator[Batch]:
    """This process's batches from the trainee's next step on, prepared by worker processes.

    num_workers: as in `endless_crops`; those of the options if it is not given.
    """
    accelerator = training.accelerator
    done = training.trainee.step * training.batches_a_step
    crops = endless_crops(
        options,
        cached,
        num_workers=options.datasets.train.num_workers if num_workers is None else num_workers,
        first_batch=done * accelerator.num_processes + accelerator.process_index,
        stride=accelerator.num_processes,
        pin_memory=accelerator.device.type == "cuda",
    )
    channels_last = _channels_last(options, accelerator)
    return (_batch(crop, accelerator.device, channels_last) for crop in crops)


def endless_crops(
    options: Options,
    cached: Cached[Any],
    *,
    num_workers: int,
    first_batch: int = 0,
    stride: int = 1,
    pin_memory: bool = False,
) -> Iterator[Crop]:
    """Batches of crops without end; see `EndlessBatchSampler`. 0 workers: made when asked for."""
    data = options.datasets.train
    loader: DataLoader[Crop] = DataLoader(
        _dataset(options, cached),
        batch_sampler=EndlessBatchSampler(
            len(cached), data.batch_size, options.seed, first_batch, stride
        ),
        collate_fn=join if isinstance(data.source, ClipSource) else default_collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=one_thread,
        # Forked workers would hang: libvips has started threads in this process.
        multiprocessing_context="spawn" if num_workers else None,
    )
    # Ctrl-C reaches all processes of a terminal; workers inherit that they are to ignore it.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return iter(loader)
    finally:
        signal.signal(signal.SIGINT, handler)


def _dataset(options: Options, cached: Cached[Any]) -> Dataset[Crop]:
    data = options.datasets.train
    settings = CropSettings(data.crop_size, data.detail_candidates, data.flips, data.transposes)
    if isinstance(data.source, ClipSource):
        windows = build_window_settings(options)
        return ClipCropDataset(cached, options.scale, settings, windows, options.seed)
    degradation = None if data.degradation is None else build_degradation(data.degradation)
    return CropDataset(cached, options.scale, settings, options.seed, degradation)


def one_batch(options: Options, cached: Cached[Any], accelerator: Accelerator) -> Batch:
    """The run's first batch, without touching the order of the others."""
    crop = next(endless_crops(options, cached, num_workers=0))
    return _batch(crop, accelerator.device, _channels_last(options, accelerator))


def _batch(crop: Crop, device: torch.device, channels_last: bool) -> Batch:
    def placed(pictures: Tensor) -> Tensor:
        return to_device(pictures, device, channels_last and pictures.ndim == 4)

    inputs = [crop["lr"]]
    if "neighbours" in crop:
        inputs += [crop["neighbours"], crop["flows"]]
    motion = crop.get("motion")
    return Batch(
        tuple(map(placed, inputs)),
        placed(crop["hr"]),
        list(crop["name"]),
        None if motion is None else placed(motion),
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


def _channels_last(options: Options, accelerator: Accelerator) -> bool:
    choice = options.train.memory_format
    reduced = accelerator.mixed_precision != "no"
    return choice == "channels_last" or (choice == "auto" and reduced)


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
            expected, came = _at(ours, keys), _at(theirs, keys)
            if expected != came:
                raise CheckpointError(
                    f"{state_file}: expected a state with {name} {expected}, got {came}; use "
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
