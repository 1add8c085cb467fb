"""A run of `infer.py`: find the tasks, probe them, upscale the images, then the videos."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from sr.device import name_device, name_precision, resolve_device
from sr.errors import UsageError
from sr.evaluation.references import References
from sr.evaluation.scores import write_scores
from sr.inference.check_tasks import (
    check_collisions,
    check_shared_folders,
    check_tasks,
    locate_scores,
    refuse_hopeless,
)
from sr.inference.events import Emit, send_one_at_a_time
from sr.inference.load_models import load_models
from sr.inference.load_upscaler import choose_precision, load_lpips, make_upscalers
from sr.inference.mask import read_mask
from sr.inference.named_files import ModelFiles, find_models
from sr.inference.options import STREAM, InferOptions
from sr.inference.output_size import label_size
from sr.inference.run_summary import RunSummary, emit_end
from sr.inference.scheduler import Scheduler
from sr.inference.share_tasks import is_shared, share_tasks
from sr.inference.split_pages import split_pages
from sr.inference.suggest_model import NUM_LOOKED_AT, describe_signs, look_at_tasks
from sr.inference.tasks import Task, find_tasks
from sr.inference.video.resume import read_dependencies
from sr.io.atomic_write import remove_abandoned
from sr.io.process_lock import hold_lock
from sr.models.backends import holds_ncnn_program
from sr.models.bundled import name_for_degraded
from sr.models.loaded_model import LoadedGenerator
from sr.tiling.upscaler import Upscaler

LONG_RUN = {"image": 10_000_000, "archive": 10_000_000, "video": 1_000_000}  # bytes


@dataclass(frozen=True)
class _Group:
    """Tasks that one model does, and its upscalers; of a run all, but with `-m auto`."""

    options: InferOptions
    model: str
    tasks: Sequence[Task]
    upscalers: Sequence[Upscaler]


def run(
    options: InferOptions, emit: Emit, upscalers: Sequence[Upscaler] | None = None
) -> RunSummary:
    """Upscale all images and videos that are asked for; one that fails does not keep the others.

    Images are spread over the devices, or the tiles of each where there are fewer images than
    devices. upscalers: of one model, one per device, that is loaded already; None loads
    `options.model`. Raises UserError before any work is done. An interrupt leaves whole files only.
    """
    if upscalers is None:
        devices = [resolve_device(device) for device in options.runtime.devices]
        files = find_models(options)
        generators = _load_generators(files, devices)
        tasks, num_ignored, references = find_checked_tasks(options, generators[0])
        lpips = load_lpips(options.lpips, devices[0])
        groups = [
            _make_group(each, group, {files: generators}, devices, emit)
            for each, group in _group_tasks(tasks, options, emit)
        ]
    else:
        name = " + ".join(Path(model).name for model in options.models)
        tasks, num_ignored, references = find_checked_tasks(options, upscalers[0])
        lpips = load_lpips(options.lpips, upscalers[0].device)
        groups = [_Group(options, name, tasks, upscalers)]
    mask = read_mask(options.texture.mask, options.runtime.max_pixels)
    started = time.perf_counter()
    folders = make_folders(tasks)
    schedulers = [
        Scheduler(
            group.tasks, group.options, group.upscalers, references, lpips, mask, all_tasks=tasks
        )
        for group in groups
    ]
    for scheduler in schedulers:
        scheduler.probe_tasks()
    left = [*chain(*(each.tasks for each in schedulers))]
    refuse_hopeless(left)
    about = _describe_run(groups)
    with ExitStack() as stack:
        if references is not None:  # scores of two runs must not replace each other
            stack.enter_context(hold_lock(locate_scores(options)))
        num_removed = sum(map(remove_abandoned, folders))
        emit(
            "start",
            pictures=len(tasks),
            ignored=num_ignored,
            megapixels=round(sum(task.megapixels for task in tasks), 3),
            **about,
        )
        if not tasks:
            emit("note", message=f"--shard {options.shard}: none of the inputs falls to it")
        summary = RunSummary(left)
        with emit_end(summary, emit, started=started, num_removed=num_removed):
            for scheduler in schedulers:
                scheduler.run_tasks(send_one_at_a_time(emit))
            if summary.scores or summary.video_scores:
                from sr.evaluation.video_scorer import METRICS  # OpenCV, which others need not

                about = {**about, "metrics": METRICS}
                _write_scores(locate_scores(options), about, summary, emit)
    return summary


def _load_generators(files: ModelFiles, devices: Sequence[torch.device]) -> list[LoadedGenerator]:
    return [load_models(files) for _ in devices]


def _group_tasks(
    tasks: Sequence[Task], options: InferOptions, emit: Emit
) -> list[tuple[InferOptions, Sequence[Task]]]:
    """Divide tasks by the model that each takes, and report what they look like.

    One group, of the options themselves, unless the model is `auto`.
    """
    is_auto = options.models == ("auto",)
    if (options.models and not is_auto) or options.resample is not None:
        return [(options, tasks)]
    waiting = [task for task in tasks if not task.skipped]
    num_waiting = len(waiting)
    if not is_auto and num_waiting > NUM_LOOKED_AT:
        waiting = waiting[:: -(-num_waiting // NUM_LOOKED_AT)]
    signs = look_at_tasks(waiting, options)
    for_degraded = name_for_degraded(options.output.outscale)
    for note in describe_signs(
        waiting, signs, num_inputs=num_waiting, is_auto=is_auto, model=for_degraded
    ):
        emit("note", message=note)
    if not is_auto:
        return [(options, tasks)]
    bad = {id(task) for task, each in zip(waiting, signs, strict=True) if each.reason}
    groups = [
        (replace(options, model=None), [task for task in tasks if id(task) not in bad]),
        (replace(options, model=for_degraded), [task for task in tasks if id(task) in bad]),
    ]
    return [(each, group) for each, group in groups if group]


def _make_group(
    options: InferOptions,
    tasks: Sequence[Task],
    loaded: Mapping[ModelFiles, Sequence[LoadedGenerator]],
    devices: Sequence[torch.device],
    emit: Emit,
) -> _Group:
    """Load the model of a group, unless it is loaded already."""
    files = find_models(options)
    generators = loaded.get(files) or _load_generators(files, devices)
    options = _choose_backend(options, generators[0], devices, tasks, emit)
    upscalers = make_upscalers(
        generators, devices, emit, options.runtime, name=files.name, flow=options.video.flow
    )
    return _Group(options, files.name, tasks, upscalers)


def find_checked_tasks(
    options: InferOptions, model: LoadedGenerator | Upscaler
) -> tuple[list[Task], int, References | None]:
    """Return the tasks of this process, how many files are ignored, and the originals.

    Raises UserError where there are none, and for what cannot be done as it is asked for.
    """
    check_shared_folders(options)
    all_tasks, num_ignored = find_tasks(options, model.scale)
    all_tasks = split_pages(all_tasks, options)
    if options.shard is not None:
        check_collisions(all_tasks)
    tasks = share_tasks(all_tasks, options)
    return tasks, num_ignored, check_tasks(tasks, options, takes_clips=model.takes_clips)


def _is_long(tasks: Sequence[Task]) -> bool:
    """Whether the work takes a minute or more on a CPU, by the sizes of the files."""
    share = 0.0
    for task in tasks:
        if not task.skipped and task.source.is_file():
            share += task.source.stat().st_size / LONG_RUN[task.kind]
    return share >= 1


def _choose_backend(
    options: InferOptions,
    generator: LoadedGenerator,
    devices: Sequence[torch.device],
    tasks: Sequence[Task],
    emit: Emit,
) -> InferOptions:
    """Return the options with the back end that `auto` stands for, where it is not the usual one.

    That of an unfinished video, or for long runs on CPUs the fastest; torch for the videos that
    shards share.
    """
    runtime = options.runtime
    if runtime.backend != "auto" or options.resample is not None:
        return options
    backend = find_recorded_backend(tasks) if options.output.resume else None
    if backend is None and any(is_shared(task, options) for task in tasks):
        return options  # measured on several machines it would not be the same
    if backend is None:
        is_program = holds_ncnn_program(generator)
        on_cpus = all(device.type == "cpu" for device in devices)
        if runtime.compile or is_program or not on_cpus or not _is_long(tasks):
            return options
        from sr.models.choose_backend import choose_backend  # short runs do not need it

        dtype = choose_precision(generator, torch.device("cpu"), runtime.precision)
        backend = choose_backend(generator, dtype, lambda text: emit("note", message=text))
    return replace(options, runtime=replace(runtime, backend=backend))


def find_recorded_backend(tasks: Sequence[Task]) -> str | None:
    """Return what `backend` was for the first unfinished video; its other segments need the same.

    Measured again it may be another, and fewer videos may be left than make a long run.
    """
    for task in tasks:
        if task.kind == "video" and not task.skipped:
            model = read_dependencies(task.output).get("model")
            if isinstance(model, dict) and isinstance(model.get("backend"), str):
                return str(model["backend"])
    return None


def make_folders(tasks: Sequence[Task]) -> list[Path]:
    """Make and return the folders of the results."""
    folders = list({task.output.parent: None for task in tasks if task.output != STREAM})
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"-o {folder}: cannot create a folder: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise UsageError(f"-o {folder}: expected a folder that may be written to")
    return folders


def _write_scores(path: Path, about: Mapping[str, object], summary: RunSummary, emit: Emit) -> None:
    """Save the scores, or report that they cannot be; the results are there, and stay."""
    try:
        write_scores(path, about, summary.scores, summary.video_scores)
    except OSError as error:
        summary.scores_are_lost = True
        emit("warning", message=f"{path}: cannot be written: {error.strerror}")


def _describe_run(groups: Sequence[_Group]) -> dict[str, Any]:
    group = groups[0]
    first, shard = group.upscalers[0], group.options.shard
    return {
        **({} if shard is None else {"shard": str(shard)}),
        "model": ", ".join(each.model for each in groups),
        "scale": first.scale,
        "tile_size": first.tile_size,
        "halo": first.halo,
        "device": ", ".join(name_device(upscaler.network_device) for upscaler in group.upscalers),
        "backend": group.options.runtime.backend,
        "precision": name_precision(first.dtype),
        "size": label_size(group.options.output, first.scale),
    }
