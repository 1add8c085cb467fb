"""A run of `infer.py`: find the tasks, probe them, upscale the images, then the videos."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from sr.device import measure_peak_gib, name_precision, resolve_device
from sr.evaluation.references import References
from sr.evaluation.scores import (
    ScoreError,
    check_scorable,
    read_scorable,
    score_against_file,
    write_scores,
)
from sr.evaluation.video_scorer import METRICS
from sr.inference.check_tasks import check_tasks, locate_scores
from sr.inference.events import Emit, add_fields, send_one_at_a_time
from sr.inference.image import ImagePlan, probe_image, upscale_image
from sr.inference.load_upscaler import find_model, load_lpips, make_upscalers
from sr.inference.options import STREAM, InferOptions, UsageError
from sr.inference.output_size import TargetError, label_size
from sr.inference.tasks import RunSummary, Task, find_tasks
from sr.inference.video.plan import VideoPlan, plan_video
from sr.inference.video.resume import ManifestError
from sr.inference.video.scoring import check_original, open_scorer
from sr.inference.video.upscale import upscale_video
from sr.io.image_formats import ImageError
from sr.io.video.encode.codecs import EncoderError
from sr.io.video.frame import VideoError
from sr.losses.lpips import LPIPS
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.tiling.multi_device import DevicePool
from sr.tiling.runner import NumericError, is_out_of_memory
from sr.tiling.upscaler import StoppedError, Upscaler

NUM_PROBES = 4  # headers read at a time; those of BMPs come with the whole image
IMAGES_PER_DEVICE = 2  # one is read or written while the other goes through the network

TASK_ERRORS = (
    EncoderError,
    ImageError,
    ManifestError,
    NumericError,
    ScoreError,
    TargetError,
    VideoError,
)
"""What ends one task and not the run."""


def run(
    options: InferOptions, emit: Emit, upscalers: Sequence[Upscaler] | None = None
) -> RunSummary:
    """Upscale all images and videos that are asked for; one that fails does not keep the others.

    Images are spread over the devices, or the tiles of each where there are fewer images than
    devices. upscalers: of one model, one per device, that is loaded already; None loads
    `options.model`. Raises UserError before any work is done. An interrupt leaves whole files only.
    """
    name = Path(options.model or "").name
    if upscalers is None:
        file = find_model(options)
        name = file.name
        devices = [resolve_device(device) for device in options.runtime.devices]
        generators = [load_generator(file) for _ in devices]
        tasks, num_ignored, references = _find_tasks(options, generators[0])
        lpips = load_lpips(options.lpips, devices[0])
        upscalers = make_upscalers(
            generators, devices, emit, options.runtime, name=name, flow=options.video.flow
        )
    else:
        tasks, num_ignored, references = _find_tasks(options, upscalers[0])
        lpips = load_lpips(options.lpips, upscalers[0].device)
    started = time.perf_counter()
    _make_folders(tasks)
    scheduler = _Scheduler(tasks, options, upscalers, references, lpips)
    scheduler.probe_tasks()
    about = _describe_run(name, upscalers, options)
    emit(
        "start",
        pictures=len(tasks),
        ignored=num_ignored,
        megapixels=round(sum(task.megapixels for task in tasks), 3),
        **about,
    )
    summary, ended = RunSummary(tasks), "aborted"
    try:
        scheduler.run_tasks(send_one_at_a_time(emit))
        if summary.scores or summary.video_scores:
            about = {**about, "metrics": METRICS}
            write_scores(locate_scores(options), about, summary.scores, summary.video_scores)
        ended = "done"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    finally:
        seconds = round(time.perf_counter() - started, 3)
        emit("done", **summary.as_fields(), seconds=seconds, ended=ended)
    return summary


class _Scheduler:
    """Does the tasks of a run: images in a few threads, then videos on all devices together."""

    def __init__(
        self,
        tasks: Sequence[Task],
        options: InferOptions,
        upscalers: Sequence[Upscaler],
        references: References | None,
        lpips: LPIPS | None,
    ) -> None:
        self._tasks = tasks
        self._options = options
        self._upscalers = upscalers
        self._references = references
        self._lpips = lpips
        self._num_videos = sum(task.kind == "video" for task in tasks)
        share_images = len(tasks) - self._num_videos < len(upscalers)
        self._pool = DevicePool(upscalers, share_images=share_images)

    def probe_tasks(self) -> None:
        """Read all headers, so that what cannot be done is known before any work.

        Raises UsageError where no video can be encoded as it is asked for.
        """
        with ThreadPoolExecutor(NUM_PROBES, thread_name_prefix="sr-probe") as threads:
            list(threads.map(self._probe, self._tasks))
        videos = [task for task in self._tasks if task.kind == "video" and not task.skipped]
        if videos and all(isinstance(task.error, EncoderError) for task in videos):
            raise UsageError(videos[0].describe_error())  # not of one odd file alone

    def run_tasks(self, emit: Emit) -> None:
        """Do all that can be done, and report each task as it ends.

        Raises what is a fault of the program, and KeyboardInterrupt, once the images in progress
        are given up.
        """
        emits = [
            add_fields(emit, picture=number, pictures=len(self._tasks), source=task.source)
            for number, task in enumerate(self._tasks, start=1)
        ]
        num_threads = IMAGES_PER_DEVICE * len(self._upscalers)
        with ThreadPoolExecutor(num_threads, thread_name_prefix="sr-image") as threads:
            futures = [
                threads.submit(self._run_task, task, emit_task)
                for task, emit_task in zip(self._tasks, emits, strict=True)
                if task.kind == "image"
            ]
            try:
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
            except BaseException:
                self._pool.stopped.set()
                threads.shutdown(wait=True, cancel_futures=True)
                raise
        for task, emit_task in zip(self._tasks, emits, strict=True):
            if task.kind == "video":
                self._run_task(task, emit_task)

    def _probe(self, task: Task) -> None:
        """Set what a task needs, or why it cannot be done."""
        references = self._references
        try:
            if task.kind == "video":
                self._probe_video(task)
            elif references is None:
                if not task.skipped:
                    task.plan = probe_image(task, self._options, self._pool.scale)
            else:
                plan = probe_image(task, self._options, self._pool.scale)
                task.original = references.find_image(task.source)
                check_scorable(task.output, plan.num_bands, plan.depth)
                task.plan = plan
        except TASK_ERRORS as error:
            task.error = error

    def _probe_video(self, task: Task) -> None:
        if task.skipped:
            return
        options = self._options
        plan, notes = plan_video(
            task.source,
            task.output,
            options.video,
            options.output,
            self._pool.scale,
            takes_clips=self._upscalers[0].takes_clips,
            max_pixels=options.runtime.max_pixels,
        )
        if self._references is not None:
            is_only = self._num_videos == 1
            task.original = self._references.find_clip(task.source, is_only=is_only)
            notes += check_original(
                task.original, plan, options.video, with_lpips=self._lpips is not None
            )
        task.plan = plan
        task.warnings += notes

    def _run_task(self, task: Task, emit: Emit) -> None:
        """Do one task; record and report how it ended."""
        if self._pool.stopped.is_set():
            return
        started = time.perf_counter()
        fields: dict[str, Any] = {}
        try:
            if task.error is not None:
                raise task.error
            self._emit_warnings(task, emit)
            if isinstance(task.plan, VideoPlan):
                fields = self._upscale_video(task, task.plan, emit)
            elif isinstance(task.plan, ImagePlan):
                if not task.skipped:
                    fields = upscale_image(task, task.plan, self._options, self._pool, emit)
                fields |= self._score_image(task, task.plan)
        except StoppedError:
            return  # whoever stopped the run has the cause
        except BaseException as error:
            if not (isinstance(error, TASK_ERRORS) or is_out_of_memory(error)):
                self._pool.stopped.set()  # now, not when the main thread hears of it
                raise
            task.error = error
            emit("item_failed", error=task.describe_error(), megapixels=task.megapixels)
            return
        task.is_done = True
        seconds = time.perf_counter() - started - fields.pop("seconds_waited", 0.0)
        emit(
            "item_done",
            output=task.output,
            skipped=task.skipped,
            seconds=round(seconds, 3),
            megapixels=task.megapixels,
            **fields,
        )

    def _emit_warnings(self, task: Task, emit: Emit) -> None:
        if not task.skipped:
            for warning in task.warnings:
                emit("warning", message=f"{task.source}: {warning}")
        elif task.kind == "video" and self._references is not None:
            message = "exists, and is not scored: frames are scored before they are encoded"
            emit("warning", message=f"{task.output}: {message}")

    def _score_image(self, task: Task, plan: ImagePlan) -> dict[str, Any]:
        if task.original is None:
            return {}
        border = round(plan.size[0] / plan.header.height)
        score = score_against_file(read_scorable(task.output), task.original, border, self._lpips)
        task.score = score
        return {"scores": score.as_json()}

    def _upscale_video(self, task: Task, plan: VideoPlan, emit: Emit) -> dict[str, Any]:
        options = self._options
        if task.original is None:
            fields = upscale_video(plan, options, self._upscalers, emit)
            return {**fields, "peak_gib": measure_peak_gib()}
        with open_scorer(task.original, plan, options.video, self._lpips) as scorer:
            fields = upscale_video(plan, options, self._upscalers, emit, scorer)
            try:
                task.score = score = scorer.score()
            except ScoreError as error:
                raise ScoreError(f"{task.output} is written, but {error}") from error
        return {**fields, "peak_gib": measure_peak_gib(), "scores": score.as_json()}


def _find_tasks(
    options: InferOptions, model: LoadedGenerator | Upscaler
) -> tuple[list[Task], int, References | None]:
    tasks, num_ignored = find_tasks(options, model.scale)
    return tasks, num_ignored, check_tasks(tasks, options, takes_clips=model.takes_clips)


def _make_folders(tasks: Sequence[Task]) -> None:
    for folder in {task.output.parent: None for task in tasks if task.output != STREAM}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"-o {folder}: cannot create a folder: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise UsageError(f"-o {folder}: expected a folder that may be written to")


def _describe_run(
    name: str, upscalers: Sequence[Upscaler], options: InferOptions
) -> dict[str, Any]:
    first = upscalers[0]
    return {
        "model": name,
        "scale": first.scale,
        "tile_size": first.tile_size,
        "halo": first.halo,
        "device": ", ".join(str(upscaler.device) for upscaler in upscalers),
        "precision": name_precision(first.dtype),
        "size": label_size(options.output, first.scale),
    }
