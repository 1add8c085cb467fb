"""The images of a run, worked on by a few threads, then its videos; each keeps its faults."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sr.evaluation.references import References
from sr.evaluation.scores import (
    ClipScore,
    Score,
    ScoreError,
    read_scored,
    refuse_unscored,
    score_against,
)
from sr.evaluation.video_scorer import check_original, opened_scorer
from sr.inference.events import Emit, with_fields
from sr.inference.image import Making, Pool, checked, do
from sr.inference.image_plan import Work
from sr.inference.options import STREAM, Job, UsageError
from sr.inference.output_size import TargetError
from sr.inference.video.options import VideoWork
from sr.inference.video.plan import checked_video
from sr.inference.video.resume import ManifestError
from sr.inference.video.upscale import OutputMismatchError, do_video
from sr.io.rgb8 import ImageError
from sr.io.video.encode.codecs import EncoderError
from sr.io.video.frame import VideoError
from sr.losses.lpips import LPIPS
from sr.memory import peak_gib
from sr.tiling.runner import NumericError, is_out_of_memory
from sr.tiling.upscaler import StoppedError

NUM_LOOKING = 4  # headers read at a time; those of BMPs come with the whole image
JOBS_PER_DEVICE = 2  # one is read or written while the other goes through the network


@dataclass
class Outcome:
    """What became of a run's images."""

    num_done: int = 0
    num_skipped: int = 0
    failures: dict[Path, str] = field(default_factory=dict)
    scores: dict[Path, Score] = field(default_factory=dict)
    clip_scores: dict[Path, ClipScore] = field(default_factory=dict)
    breaks_contract: bool = False
    """A video was written that is not in time with its source, or lacks something of it."""

    @property
    def exit_code(self) -> int:
        """0: all done; 1: a video is off; 3: some failed, others are done; 4: no usable input."""
        if self.breaks_contract:
            return 1
        if not self.failures:
            return 0
        return 3 if self.num_done + self.num_skipped else 4


@dataclass(frozen=True)
class Item:
    """A job and what its header tells: the work, or why there can be none."""

    job: Job
    work: Work | VideoWork | None
    """None for a fault, and for an output that exists and is not scored."""
    notes: tuple[str, ...] = ()
    original: Path | None = None
    """What the result is scored against."""
    fault: str = ""
    is_wrong_use: bool = False
    """No encoder can do what the options ask for."""

    @property
    def is_video(self) -> bool:
        """Done after the images, by all devices together."""
        return self.job.kind == "video"

    @property
    def megapixels(self) -> float:
        """That the network is to read, in millions."""
        return 0.0 if self.work is None or self.job.skipped else self.work.megapixels


class Session:
    """Works on the images of one run and keeps account."""

    def __init__(
        self,
        making: Making,
        pool: Pool,
        references: References | None = None,
        lpips: LPIPS | None = None,
    ) -> None:
        """references, lpips: to score results, and by what next to PSNR and SSIM."""
        self._making = making
        self._pool = pool
        self._references = references
        self._lpips = lpips
        self.outcome = Outcome()

    def look_at(self, jobs: Sequence[Job]) -> list[Item]:
        """Read all headers, so that what cannot be done is known before any work.

        Raises UsageError where no video can be encoded as it is asked for.
        """
        with ThreadPoolExecutor(NUM_LOOKING, thread_name_prefix="sr-look") as threads:
            is_only = sum(job.kind == "video" for job in jobs) == 1
            items = list(threads.map(partial(self._look, is_only_video=is_only), jobs))
        videos = [item for item in items if item.is_video and not item.job.skipped]
        if videos and all(item.is_wrong_use for item in videos):  # not of one odd file alone
            raise UsageError(videos[0].fault)
        return items

    def work(self, items: Sequence[Item], emit: Emit) -> None:
        """Do all that can be done, telling of each image as it ends.

        Raises what is a fault of ours, and KeyboardInterrupt, once the images under way are
        given up.
        """
        emit = _one_at_a_time(emit)
        emitters = [
            with_fields(emit, picture=number, pictures=len(items), source=item.job.source)
            for number, item in enumerate(items, start=1)
        ]
        pairs = list(zip(items, emitters, strict=True))
        self._work_on_images([pair for pair in pairs if not pair[0].is_video])
        for item, emit_item in pairs:
            if item.is_video:
                self._try(item, emit_item)
        self._sort(items)

    def _work_on_images(self, pairs: Sequence[tuple[Item, Emit]]) -> None:
        num_threads = JOBS_PER_DEVICE * len(self._pool.upscalers)
        with ThreadPoolExecutor(num_threads, thread_name_prefix="sr-job") as threads:
            futures = [threads.submit(self._try, *pair) for pair in pairs]
            try:
                _wait(futures)
            except BaseException:
                self._pool.stopped.set()
                threads.shutdown(wait=True, cancel_futures=True)
                raise

    def _look(self, job: Job, *, is_only_video: bool) -> Item:
        if job.skipped and (self._references is None or job.kind == "video"):
            return Item(job, None)  # a video's frames are gone when it is written
        try:
            if job.kind == "video":
                return self._look_at_video(job, is_only=is_only_video)
            work, notes = checked(job, self._making, self._pool.scale)
            original = None
            if self._references is not None:
                original = self._references.original_of(job.source)
                refuse_unscored(job.output, work.num_bands, work.depth)
        except EncoderError as error:
            return Item(job, None, fault=_named(job, str(error)), is_wrong_use=True)
        except (ImageError, TargetError, ScoreError, VideoError) as error:
            return Item(job, None, fault=_named(job, str(error)))
        return Item(job, work, tuple(notes), original)

    def _look_at_video(self, job: Job, *, is_only: bool) -> Item:
        making, pool, original = self._making, self._pool, None
        single_pass = pool.upscalers[0].window is not None
        work, notes = checked_video(
            job, making.video, making.target, pool.scale, single_pass=single_pass
        )
        if self._references is not None:
            original = self._references.original_clip_of(job.source, is_only=is_only)
            with_lpips = self._lpips is not None
            notes += check_original(original, job.source, work, making.video, with_lpips=with_lpips)
        return Item(job, work, tuple(notes), original)

    def _try(self, item: Item, emit: Emit) -> None:
        """Do one job; note and tell how it ended."""
        if self._pool.stopped.is_set():
            return
        started = time.perf_counter()
        megapixels = item.megapixels
        try:
            fields = self._do(item, emit)
        except StoppedError:
            return  # whoever stopped the run has the cause
        except BaseException as error:
            fault = _fault_of(item.job, error)
            if fault is None:
                self._pool.stopped.set()  # now, not when the main thread hears of it
                raise
            self.outcome.breaks_contract |= isinstance(error, OutputMismatchError)
            self.outcome.failures[item.job.source] = fault
            emit("item_failed", error=fault, megapixels=megapixels)
        else:
            self.outcome.num_skipped += item.job.skipped
            self.outcome.num_done += not item.job.skipped
            fields = {"output": item.job.output, "skipped": item.job.skipped, **fields}
            waited = fields.pop("seconds_waited", 0.0)
            seconds = round(time.perf_counter() - started - waited, 3)
            emit("item_done", seconds=seconds, megapixels=megapixels, **fields)

    def _do(self, item: Item, emit: Emit) -> dict[str, Any]:
        if item.fault:
            raise ImageError(item.fault)
        job, work, fields = item.job, item.work, {}
        if not job.skipped:
            assert work is not None
            for note in item.notes:
                emit("warning", message=f"{job.source}: {note}")
            if isinstance(work, VideoWork):
                fields = self._made_video(item, work, emit)
            else:
                fields = do(job, work, self._making, self._pool, emit)
            fields["peak_gib"] = peak_gib()
        elif item.is_video and self._references is not None:
            message = "exists, and is not scored: frames are scored before they are encoded"
            emit("warning", message=f"{job.output}: {message}")
        if item.original is not None and isinstance(work, Work):
            border = round(work.size[0] / work.header.height)
            score = score_against(read_scored(job.output), item.original, border, self._lpips)
            self.outcome.scores[job.source] = score
            fields["scores"] = score.as_json()
        return fields

    def _made_video(self, item: Item, work: VideoWork, emit: Emit) -> dict[str, Any]:
        job, making, upscalers = item.job, self._making.video, self._pool.upscalers
        if item.original is None:
            return do_video(job, work, making, upscalers, emit)
        with opened_scorer(item.original, job.source, work, making, self._lpips) as scorer:
            fields = do_video(job, work, making, upscalers, emit, scorer)
            try:
                self.outcome.clip_scores[job.source] = score = scorer.score()
            except ScoreError as error:
                raise ScoreError(f"{job.output} is written, but {error}") from error
        return {**fields, "scores": score.as_json()}

    def _sort(self, items: Sequence[Item]) -> None:
        """Threads end in any order; people read in the order of the work."""
        order = {item.job.source: number for number, item in enumerate(items)}
        outcome = self.outcome
        outcome.failures = dict(sorted(outcome.failures.items(), key=lambda pair: order[pair[0]]))
        outcome.scores = dict(sorted(outcome.scores.items(), key=lambda pair: order[pair[0]]))


def _wait(futures: Sequence[Future[None]]) -> None:
    """Until all are done, or one has raised, which is raised here."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


def _one_at_a_time(emit: Emit) -> Emit:
    lock = threading.Lock()

    def locked(event: Any, **fields: Any) -> None:
        with lock:
            emit(event, **fields)

    return locked


def _fault_of(job: Job, error: BaseException) -> str | None:
    """What failed at which image, or None where it is not the image's fault."""
    if is_out_of_memory(error):
        return _named(job, f"not enough memory: {error}" if str(error) else "not enough memory")
    if isinstance(error, ImageError | ScoreError | NumericError | VideoError | ManifestError):
        return _named(job, str(error))
    return None


def _named(job: Job, message: str) -> str:
    name = "standard input" if job.source == STREAM else str(job.source)
    return message if message.startswith(name) else f"{name}: {message}"
