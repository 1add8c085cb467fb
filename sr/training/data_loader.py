"""Options -> the batches of a run: images decoded once, crops by worker processes."""

import os
import signal
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from sr.build_data import build_degradation, build_window_settings
from sr.data.cache import SourceCache, fill_cache, open_cache, write_index
from sr.data.clip_crops import ClipCropDataset, collate_clips
from sr.data.crops import Crop, CropDataset, CropSettings, ZoomedCropDataset, use_one_thread
from sr.data.sampler import EndlessBatchSampler
from sr.data.sources import Mixture, Source
from sr.options.clips import ClipSource
from sr.options.schema import Options
from sr.training.parts import Training
from sr.training.steps import Batch, to_device


def decode(
    sources: Sequence[Source[Any]], folder: Path, cache_gib: float, accelerator: Accelerator
) -> SourceCache[Any]:
    """Decoded images or clips in a file of this machine's own in the run's folder.

    Where several processes share a machine, one of them decodes and the others wait.
    """
    file = images_path(folder)
    if accelerator.is_local_main_process:
        write_index(fill_cache(sources, file, int(cache_gib * 2**30)))
    accelerator.wait_for_everyone()
    return open_cache(sources, file)


def images_path(folder: Path) -> Path:
    """The file of decoded images; machines that share the folder have one each."""
    return folder / f"images.{os.environ.get('GROUP_RANK', '0')}.bin"


def endless_batches(
    options: Options, cached: SourceCache[Any], training: Training
) -> Iterator[Batch]:
    """This process's batches from the trainee's next step on, prepared by worker processes."""
    accelerator = training.accelerator
    done = training.trainee.step * training.batches_a_step
    crops = endless_crops(
        options,
        cached,
        num_workers=options.datasets.train.num_workers,
        first_batch=done * accelerator.num_processes + accelerator.process_index,
        stride=accelerator.num_processes,
        pin_memory=accelerator.device.type == "cuda",
    )
    laid_out = channels_last(options, accelerator)
    return (_batch(crop, accelerator.device, laid_out) for crop in crops)


def endless_crops(
    options: Options,
    cached: SourceCache[Any],
    *,
    num_workers: int,
    first_batch: int = 0,
    stride: int = 1,
    pin_memory: bool = False,
) -> Iterator[Crop]:
    """Batches of crops without end; see `EndlessBatchSampler`. 0 workers: made when asked for."""
    data = options.datasets.train
    groups = cached.sources.groups if isinstance(cached.sources, Mixture) else ()
    loader: DataLoader[Crop] = DataLoader(
        _dataset(options, cached),
        batch_sampler=EndlessBatchSampler(
            len(cached), data.batch_size, options.seed, first_batch, stride, groups
        ),
        collate_fn=collate_clips if isinstance(data.source, ClipSource) else default_collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=use_one_thread,
        # Forked workers would hang: libvips has started threads in this process.
        multiprocessing_context="spawn" if num_workers else None,
    )
    # Ctrl-C reaches all processes of a terminal; workers inherit that they are to ignore it.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return iter(loader)
    finally:
        signal.signal(signal.SIGINT, handler)


def first_batches(
    options: Options, cached: SourceCache[Any], accelerator: Accelerator, count: int
) -> list[Batch]:
    """The run's first batches, without touching the order of the others.

    Made here and now: no worker goes on with further ones.
    """
    crops = islice(endless_crops(options, cached, num_workers=0), count)
    laid_out = channels_last(options, accelerator)
    return [_batch(crop, accelerator.device, laid_out) for crop in crops]


def _dataset(options: Options, cached: SourceCache[Any]) -> Dataset[Crop]:
    crops, teacher = _crops(options, cached), options.losses.teacher
    if teacher is not None and "zoomed" in teacher.inputs:
        return ZoomedCropDataset(crops, options.seed)
    return crops


def _crops(options: Options, cached: SourceCache[Any]) -> Dataset[Crop]:
    data = options.datasets.train
    settings = CropSettings(
        crop_size=data.crop_size,
        detail_candidates=data.detail_candidates,
        flips=data.flips,
        transposes=data.transposes,
        detail_measure=data.detail_measure,
        detail_quantile=data.detail_quantile,
    )
    if isinstance(data.source, ClipSource):
        windows = build_window_settings(options)
        return ClipCropDataset(cached, options.scale, settings, windows, options.seed)
    degradation = None if data.degradation is None else build_degradation(data.degradation)
    return CropDataset(cached, options.scale, settings, options.seed, degradation)


def _batch(crop: Crop, device: torch.device, channels_last: bool) -> Batch:
    def placed(images: Tensor) -> Tensor:
        return to_device(images, device, channels_last and images.ndim == 4)

    inputs = [crop["lr"]]
    if "neighbors" in crop:
        inputs += [crop["neighbors"], crop["flows"]]
    motion, zoomed = crop.get("motion"), crop.get("zoomed")
    return Batch(
        tuple(map(placed, inputs)),
        placed(crop["hr"]),
        list(crop["name"]),
        None if motion is None else placed(motion),
        None if zoomed is None else placed(zoomed),
    )


def channels_last(options: Options, accelerator: Accelerator) -> bool:
    """Whether activations are to lie so in memory."""
    choice = options.train.memory_format
    reduced = accelerator.mixed_precision != "no"
    return choice == "channels_last" or (choice == "auto" and reduced)
