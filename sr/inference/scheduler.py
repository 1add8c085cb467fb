"""The tasks of a run, one after the other or several at a time: each done, or reported as failed.

Whatever a reader, decoder, network stage, encoder or writer raises costs the one input that it is
raised for: it is reported by its type, with the traceback in the log, and the others are done.
What says that no other input would fare better ends the run: see `sr.inference.ends_run`. The code
of videos is imported when there is one.
"""

import os
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil

from sr.device import name_precision
from sr.errors import UserError
from sr.evaluation.references import References
from sr.evaluation.scores import check_scorable, read_scorable, score_against_file
from sr.inference.archive import ArchivePlan, probe_archive, upscale_archive
from sr.inference.ends_run import ENDS_RUN
from sr.inference.events import Emit, add_fields
from sr.inference.image import ImagePlan, count_result_bytes, probe_image, upscale_image
from sr.inference.mask import Mask
from sr.inference.options import STREAM, InferOptions
from sr.inference.share_tasks import is_shared
from sr.inference.tasks import Task, is_foreseen, is_skipped
from sr.io.process_lock import check_unlocked, hold_lock
from sr.io.video.formats import is_pattern
from sr.losses.lpips import LPIPS
from sr.tiling.multi_device import DevicePool
from sr.tiling.upscaler import StoppedError, Upscaler

if TYPE_CHECKING:
    from sr.inference.video.upscale_task import VideoTasks

NUM_PROBES = 4  # headers read at a time; those of BMPs come with the whole image
IMAGES_PER_DEVICE = 2  # one is read or written while the other goes through the network

SHARE_OF_RESULTS = 0.25  # of the free memory, for those of all images that are worked on


class Scheduler:
    """Does the tasks of a run: images in a few threads, then videos on all devices together."""

    def __init__(
        self,
        tasks: Sequence[Task],
        options: InferOptions,
        upscalers: Sequence[Upscaler],
        references: References | None,
        lpips: LPIPS | None,
        mask: Mask | None = None,
        all_tasks: Sequence[Task] | None = None,
    ) -> None:
        """all_tasks: of the run, where some are another scheduler's."""
        self.tasks = tasks
        self._all_tasks = tasks if all_tasks is None else all_tasks
        self._options = options
        self._upscalers = upscalers
        self._references = references
        self._lpips = lpips
        self._mask = mask
        self._videos: VideoTasks | None = None
        self._num_videos = sum(task.kind == "video" for task in self._all_tasks)
        num_images = sum(task.kind == "image" for task in tasks)
        self._pool = DevicePool(upscalers, share_images=num_images < len(upscalers))

    def probe_tasks(self) -> None:
        """Read all headers, so that what cannot be done is known before any work."""
        with ThreadPoolExecutor(NUM_PROBES, thread_name_prefix="sr-probe") as threads:
            list(threads.map(self._probe, self.tasks))
        # Of those of other shards, they report what cannot be done.
        self.tasks = [task for task in self.tasks if task.is_own or task.error is None]

    def run_tasks(self, emit: Emit, *, waits: bool = True) -> None:
        """Do all that can be done, and report each task as it ends.

        waits: for videos of which other processes have the rest; else these are left. Raises what
        is a fault of the program, and KeyboardInterrupt, once the images in progress are given up.
        """
        numbers = {id(task): number for number, task in enumerate(self._all_tasks, start=1)}
        emits = [
            add_fields(emit, picture=numbers[id(task)], pictures=len(numbers), source=task.source)
            for task in self.tasks
        ]
        num_threads = self._count_image_threads()
        with ThreadPoolExecutor(num_threads, thread_name_prefix="sr-image") as threads:
            futures = [
                threads.submit(self._run_task, task, emit_task)
                for task, emit_task in zip(self.tasks, emits, strict=True)
                if task.kind == "image"
            ]
            try:
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
            except BaseException:
                self._pool.stopped.set()
                threads.shutdown(wait=True, cancel_futures=True)
                raise
        videos = [pair for pair in zip(self.tasks, emits, strict=True) if pair[0].kind != "image"]
        is_waiting = False
        while videos:
            waiting = [pair for pair in videos if not self._run_task(*pair)]
            if len(waiting) == len(videos):
                if not waits:
                    return
                from sr.inference.video.upscale_task import wait_for_others

                if not is_waiting:
                    rest = f"{len(videos)} video{'s' if len(videos) > 1 else ''}"
                    emit("note", message=f"waiting for other runs, which have the rest of {rest}")
                is_waiting = True
                wait_for_others()
            videos = waiting

    def _count_image_threads(self) -> int:
        """Return how many images are read, upscaled and written at a time.

        One core compresses a PNG of 4K in the time that a GPU takes for many, so next to GPUs there
        is one for each core, as long as results may be in memory at once.
        """
        count = IMAGES_PER_DEVICE * len(self._upscalers)
        if all(upscaler.device.type == "cpu" for upscaler in self._upscalers):
            return count
        plans = [task.plan for task in self.tasks if isinstance(task.plan, ImagePlan)]
        largest = max(map(count_result_bytes, plans), default=1)
        fitting = int(SHARE_OF_RESULTS * psutil.virtual_memory().available / largest)
        return max(count, min(os.cpu_count() or 1, fitting))

    def _probe(self, task: Task) -> None:
        """Set what a task needs, or why it cannot be done."""
        references = self._references
        try:
            if not (task.skipped or task.output == STREAM or is_shared(task, self._options)):
                check_unlocked(task.output)
            if task.kind == "video":
                self._probe_video(task)
            elif task.kind == "archive":
                if not task.skipped:
                    task.plan = probe_archive(task, self._options, self._pool.scale)
            elif references is None:
                if not task.skipped:
                    task.plan = probe_image(task, self._options, self._pool.scale)
            else:
                plan = probe_image(task, self._options, self._pool.scale)
                task.original = references.find_image(task.source)
                check_scorable(task.output, plan.num_bands, plan.depth)
                task.plan = plan
            if self._mask is not None and task.plan is not None:
                task.plan.check_mask(self._mask)
        except ENDS_RUN:
            raise
        except Exception as error:  # noqa: BLE001, whatever a file makes a reader raise
            task.error = error

    def _probe_video(self, task: Task) -> None:
        from sr.inference.video.plan import plan_video
        from sr.inference.video.scoring import check_original

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

    def _run_task(self, task: Task, emit: Emit) -> bool:
        """Do one task; record and report how it ended. False: it waits for other runs."""
        if self._pool.stopped.is_set():
            return True
        started = time.perf_counter()
        fields: dict[str, Any] | None = {}
        try:
            if task.error is not None:
                raise task.error
            with self._claim_output(task):
                fields = self._do_task(task, emit)
        except StoppedError:
            return True  # whoever stopped the run has the cause
        except BaseException as error:
            if isinstance(error, ENDS_RUN) or not isinstance(error, Exception):
                self._pool.stopped.set()  # now, not when the main thread hears of it
                raise
            task.error = error
            fields = {}
            if not is_foreseen(error):
                fields["traceback"] = "".join(traceback.format_exception(error))
            message = task.describe_error()
            emit("item_failed", error=message, megapixels=task.megapixels, **fields)
            return True
        task.seconds += time.perf_counter() - started
        if fields is None:
            return False
        task.is_done = True
        seconds = task.seconds - fields.pop("seconds_waited", 0.0)
        emit(
            "item_done",
            output=task.output,
            skipped=task.skipped,
            seconds=round(seconds, 3),
            megapixels=task.megapixels,
            **fields,
        )
        return True

    @contextmanager
    def _claim_output(self, task: Task) -> Iterator[None]:
        """Keep other processes from a task's result, and keep one that they have finished.

        Raises LockedError where another one is writing it, and UserError where one has written it
        since this run began and it is to be neither replaced nor skipped.
        """
        options = self._options.output
        if task.skipped or task.output == STREAM:
            yield
            return
        if is_shared(task, self._options):  # by leases
            task.skipped = not task.num_computed and is_skipped(task.output, task.kind, options)
            yield
            return
        with hold_lock(task.output):
            task.skipped = is_skipped(task.output, task.kind, options)
            is_new = not (options.overwrite or options.keeps_existing or is_pattern(task.output))
            if is_new and task.output.exists():
                raise UserError(
                    f"{task.output}: expected no such file, as when this run began, got one that"
                    " another process has written since; it is kept"
                )
            yield

    def _do_task(self, task: Task, emit: Emit) -> dict[str, Any] | None:
        """Upscale and score what there is to; return the fields of the event.

        None: other runs have what is missing of a video.
        """
        fields: dict[str, Any] = {}
        self._emit_warnings(task, emit)
        if isinstance(task.plan, ImagePlan):
            if not task.skipped:
                fields = upscale_image(task, task.plan, self._options, self._pool, emit, self._mask)
            fields |= self._score_image(task, task.plan)
        elif isinstance(task.plan, ArchivePlan):
            precision = name_precision(self._upscalers[0].dtype)
            threads = self._count_image_threads()
            pool, mask = self._pool, self._mask
            if not task.skipped:
                fields = upscale_archive(
                    task.plan, self._options, pool, emit, threads, precision, mask
                )
        elif task.plan is not None and not task.skipped:
            from sr.inference.video.upscale_task import VideoTasks

            self._videos = self._videos or VideoTasks(
                self._options, self._upscalers, self._lpips, self._mask
            )
            return self._videos.upscale(task, task.plan, emit)
        return fields

    def _emit_warnings(self, task: Task, emit: Emit) -> None:
        if not task.skipped:
            for warning in task.warnings[task.num_emitted :]:
                emit("warning", message=f"{task.source}: {warning}")
            task.num_emitted = len(task.warnings)  # a shared video is looked at several times
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
