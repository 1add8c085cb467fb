"""Options -> the batches of a run: images decoded once, crops by worker processes."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sr.build_data import (
    build_augmentation,
    build_degradation,
    build_sharpening,
    build_window_settings,
    find_training_sources,
    find_validation_sources,
)
from sr.data.batch_augment import augment_batches
from sr.data.cache import SourceCache, fill_cache, get_index_path, open_cache, write_index
from sr.data.clip_crops import ClipCropDataset, collate_clips
from sr.data.crops import (
    Crop,
    CropDataset,
    CropSettings,
    collate_crops,
    degrade_batch,
)
from sr.data.hr_only import HRImage
from sr.data.paired import PairedImage
from sr.data.pool import count_held_batches, draw_from_pool
from sr.data.sampler import EndlessBatchSampler
from sr.data.sources import Mixture, Source, refuse_small_images
from sr.data.zoomed_crops import ZoomedCropDataset
from sr.device import DeviceError
from sr.options.clips import ClipSource
from sr.options.schema import Options
from sr.training.distributed import name_machine, wait_for_everyone
from sr.training.steps import Batch
from sr.training.validate import ValidationSets, refuse_small_results
from sr.training.worker_signals import block_signals, start_worker


def find_sources(
    options: Options, device: torch.device
) -> tuple[Sequence[Source[Any]], ValidationSets]:
    """Find training and validation images or clips and read their headers.

    device: of what measures flow. Raises DataError naming all faults.
    """
    degradation = options.datasets.train.degradation
    if degradation is not None and degradation.on_device and device.type == "mps":
        raise DeviceError(
            "datasets.train.degradation.on_device: expected a CUDA GPU or the CPU, got mps, which "
            "draws no Poisson noise"
        )
    sources = find_training_sources(options, device)
    refuse_small_images(sources, options.datasets.train.crop_size, "the crop")
    sets: ValidationSets = find_validation_sources(options, device)
    lpips, niqe = options.validate_.lpips, options.validate_.niqe
    refuse_small_results(sets, options.scale, None if lpips is None else lpips.network, niqe=niqe)
    return sources, sets


def decode_sources(
    sources: Sequence[Source[Any]], folder: Path, cache_gib: float, accelerator: Accelerator
) -> SourceCache[Any]:
    """Decode images or clips into a file of this machine's own in the run's folder.

    Where several processes share a machine, one of them decodes and the others wait.
    """
    file = _get_cache_path(folder)
    if accelerator.is_local_main_process:
        write_index(fill_cache(sources, file, int(cache_gib * 2**30)))
    wait_for_everyone(accelerator)
    return open_cache(sources, file)


def describe_cache(cached: SourceCache[Any], kind: str) -> str:
    """Return how many sources were prepared, and how many are decoded at each use."""
    text = ""
    prepared = sum(
        isinstance(source, HRImage | PairedImage) and source.num_bytes == 0
        for source in cached.sources
    )
    if prepared:
        text += f" ({prepared} prepared)"
    decoded = sum(source.num_bytes > 0 for source in cached.sources[len(cached.blocks) :])
    if decoded:
        advice = " or use sr-data prepare" if kind == "images" else ""
        text += f" ({decoded} not cached: raise datasets.train.cache_gib{advice})"
    return text


def delete_decoded(folder: Path) -> None:
    """Delete what `decode_sources` wrote on this machine."""
    file = _get_cache_path(folder)
    for path in (file, get_index_path(file)):
        path.unlink(missing_ok=True)


def load_batches(
    options: Options, cached: SourceCache[Any], accelerator: Accelerator, draws: int
) -> Iterator[Batch]:
    """Give this process's batches, without end, made by worker processes.

    draws: made before, by all processes.
    """
    crops = load_crops(
        options,
        cached,
        accelerator.device,
        num_workers=options.datasets.train.num_workers,
        first_draw=draws,
        first_batch=accelerator.process_index,
        stride=accelerator.num_processes,
        pin_memory=accelerator.device.type == "cuda",
    )
    channels_last = uses_channels_last(options, accelerator)
    return (_make_batch(crop, accelerator.device, channels_last) for crop in crops)


def load_first_batches(
    options: Options, cached: SourceCache[Any], accelerator: Accelerator, count: int
) -> list[Batch]:
    """Load the run's first batches, without touching the order of the others.

    Made here and now: no worker goes on with further ones.
    """
    crops = islice(load_crops(options, cached, accelerator.device, num_workers=0), count)
    channels_last = uses_channels_last(options, accelerator)
    return [_make_batch(crop, accelerator.device, channels_last) for crop in crops]


def load_crops(
    options: Options,
    cached: SourceCache[Any],
    device: torch.device,
    *,
    num_workers: int,
    first_draw: int = 0,
    first_batch: int = 0,
    stride: int = 1,
    pin_memory: bool = False,
) -> Iterator[Crop]:
    """Give batches of crops without end; see `EndlessBatchSampler`. 0 workers: made when needed.

    device: where batches are degraded that workers have only planned to.
    """
    data = options.datasets.train
    crops = _load_unchanged(
        options, cached, device, num_workers, first_draw, first_batch, stride, pin_memory
    )
    if data.augmentation is None:
        return crops
    return augment_batches(
        crops,
        build_augmentation(data.augmentation),
        options.scale,
        options.seed,
        first_draw + first_batch * data.batch_size,
        stride * data.batch_size,
    )


def _load_unchanged(
    options: Options,
    cached: SourceCache[Any],
    device: torch.device,
    num_workers: int,
    first_draw: int,
    first_batch: int,
    stride: int,
    pin_memory: bool,
) -> Iterator[Crop]:
    """Give batches before their augmentation; arguments as for `load_crops`."""
    data = options.datasets.train
    pool, size = data.pool, data.batch_size
    if pool is not None:  # counts in batches of the present size, from the run's start
        first_batch += first_draw // (size * stride) * stride
        drawn, first_draw = first_batch, 0
        local, process = divmod(first_batch, stride)
        oldest = max(0, local // pool.uses - count_held_batches(pool.size, size) + 1)
        first_batch = oldest * stride + process
    sampler = _make_sampler(options, cached, first_draw, first_batch, stride)
    loader = _make_loader(options, cached, sampler, num_workers, pin_memory)
    with block_signals():
        fresh = map(partial(degrade_batch, device=device), iter(loader))
    if pool is None:
        return fresh
    return draw_from_pool(fresh, pool.size, pool.uses, size, options.seed, drawn, stride)


def _make_sampler(
    options: Options, cached: SourceCache[Any], first_draw: int, first_batch: int, stride: int
) -> EndlessBatchSampler:
    groups = cached.sources.groups if isinstance(cached.sources, Mixture) else ()
    size, seed = options.datasets.train.batch_size, options.seed
    return EndlessBatchSampler(len(cached), size, seed, first_batch, stride, groups, first_draw)


def _make_loader(
    options: Options,
    cached: SourceCache[Any],
    sampler: EndlessBatchSampler,
    num_workers: int,
    pin_memory: bool,
) -> DataLoader[Crop]:
    data = options.datasets.train
    return DataLoader(
        _make_dataset(options, cached),
        batch_sampler=sampler,
        collate_fn=collate_clips if isinstance(data.source, ClipSource) else collate_crops,
        num_workers=num_workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=start_worker,
        # Forked workers would hang: libvips has started threads in this process.
        multiprocessing_context="spawn" if num_workers else None,
    )


def count_batches_per_step(options: Options) -> int:
    """Return how many batches every step takes, whether or not it trains the discriminator."""
    updates = 1 if options.train.gan is None else options.train.gan.updates
    return options.train.accumulation * updates


def uses_channels_last(options: Options, accelerator: Accelerator) -> bool:
    """Return whether activations are kept in memory as channels_last."""
    choice = options.train.memory_format
    reduced = accelerator.mixed_precision != "no"
    return choice == "channels_last" or (choice == "auto" and reduced)


def _get_cache_path(folder: Path) -> Path:
    """Return the file of decoded images; machines that share the folder have one each."""
    return folder / f"images.{name_machine()}.bin"


def _make_dataset(options: Options, cached: SourceCache[Any]) -> Dataset[Crop]:
    crops, teacher = _make_crops(options, cached), options.losses.teacher
    if teacher is not None and "zoomed" in teacher.inputs:
        return ZoomedCropDataset(crops, options.seed)
    return crops


def _make_crops(options: Options, cached: SourceCache[Any]) -> Dataset[Crop]:
    data = options.datasets.train
    settings = CropSettings(
        crop_size=data.crop_size,
        detail_candidates=data.detail_candidates,
        flips=data.flips,
        transposes=data.transposes,
        detail_measure=data.detail_measure,
        detail_quantile=data.detail_quantile,
        sharpening=None if data.sharpening is None else build_sharpening(data.sharpening),
    )
    if isinstance(data.source, ClipSource):
        windows = build_window_settings(options)
        return ClipCropDataset(cached, options.scale, settings, windows, options.seed)
    chosen = data.degradation
    return CropDataset(
        cached,
        options.scale,
        settings,
        options.seed,
        None if chosen is None else build_degradation(chosen),
        on_device=chosen is not None and chosen.on_device,
    )


def _make_batch(crop: Crop, device: torch.device, channels_last: bool) -> Batch:
    def place(images: Tensor) -> Tensor:
        last = channels_last and images.ndim == 4
        layout = torch.channels_last if last else torch.contiguous_format
        return images.to(device, non_blocking=True).contiguous(memory_format=layout)

    inputs = [crop["lr"]]
    if "neighbors" in crop:
        inputs += [crop["neighbors"], crop["flows"]]
    further: dict[str, Any] = {key: crop.get(key) for key in ("target", "motion", "zoomed")}
    return Batch(
        tuple(map(place, inputs)),
        place(crop["hr"]),
        list(crop["name"]),
        **{key: None if images is None else place(images) for key, images in further.items()},
    )
