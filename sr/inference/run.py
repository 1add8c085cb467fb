"""From image files to upscaled image files, told in the order of the work."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr.device import precision_name
from sr.evaluation.references import References
from sr.evaluation.scores import mean_clip_score, mean_score, write_scores
from sr.evaluation.video_scorer import METRICS
from sr.inference.events import Emit
from sr.inference.image import Making, Pool
from sr.inference.options import STREAM, Job, Request, UsageError
from sr.inference.output_size import Target
from sr.inference.scheduler import Outcome, Session
from sr.inference.tasks import Plan, folder_of_results, plan, refuse_images
from sr.losses.lpips import LPIPS
from sr.tiling.upscaler import Upscaler


@dataclass(frozen=True)
class Checked:
    """What goes where, and the originals to score against."""

    plan: Plan
    references: References | None


def check(request: Request, target: Target, scale: int, *, only_videos: bool = False) -> Checked:
    """Decide what goes where, and refuse what cannot be, before the network is made ready.

    scale, only_videos: of the model. Opens no input. Raises `UsageError` or `NoInputError`.
    """
    references = None if request.reference is None else References(request.reference)
    others = [] if references is None else [_scores_path(request)]
    planned = plan(request, label=target.label(scale), others=others)
    if only_videos:
        refuse_images(planned.jobs)
    _refuse_one_original(references, planned.jobs)
    return Checked(planned, references)


def run(
    upscalers: Sequence[Upscaler],
    request: Request,
    emit: Emit,
    *,
    making: Making | None = None,
    checked: Checked | None = None,
    model: str = "",
    lpips: LPIPS | None = None,
) -> Outcome:
    """Upscale all images of a request; one that fails does not keep the others.

    upscalers: of one model, one a device; images are spread over them, or the tiles of each
    where there are fewer images than devices. checked: what `check` gave, if it was asked
    before. model: its name for the log and the scores. lpips: scores by it, too, where there are
    originals. Raises `UsageError` or `NoInputError` before any work is done. An interrupt leaves
    whole files only.
    """
    making = making or Making()
    started = time.perf_counter()
    target, scale = making.target, upscalers[0].scale
    checked = checked or check(request, target, scale)
    planned = checked.plan
    _make_folders(planned.jobs)
    num_images = sum(job.kind == "image" for job in planned.jobs)
    together = num_images < len(upscalers)
    session = Session(making, Pool(upscalers, together=together), checked.references, lpips)
    items = session.look_at(planned.jobs)
    about = {"model": model, **_describe(upscalers), "size": target.label(scale)}
    emit(
        "start",
        pictures=len(items),
        ignored=planned.num_ignored,
        megapixels=round(sum(item.megapixels for item in items), 3),
        **about,
    )
    outcome, ended = session.outcome, "aborted"
    try:
        session.work(items, emit)
        if outcome.scores or outcome.clip_scores:
            about = {**about, "metrics": METRICS}
            write_scores(_scores_path(request), about, outcome.scores, outcome.clip_scores)
        ended = "done"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    finally:
        seconds = round(time.perf_counter() - started, 3)
        emit("done", **_count(outcome), seconds=seconds, ended=ended)
    return outcome


def _scores_path(request: Request) -> Path:
    return folder_of_results(request.output) / "scores.json"


def _refuse_one_original(references: References | None, jobs: Sequence[Job]) -> None:
    """One video's frames are not the originals of several inputs, nor of an image."""
    if references is None or not references.is_one_video:
        return
    if len(jobs) > 1 or jobs[0].kind != "video":
        got = "an image" if len(jobs) == 1 else f"{len(jobs)} inputs"
        raise UsageError(
            f"--reference: expected a folder of originals for {got}, got those of one video"
        )


def _make_folders(jobs: Sequence[Job]) -> None:
    for folder in {job.output.parent: None for job in jobs if job.output != STREAM}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"-o {folder}: no folder can be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise UsageError(f"-o {folder}: expected a folder that may be written to")


def _describe(upscalers: Sequence[Upscaler]) -> dict[str, Any]:
    first = upscalers[0]
    return {
        "scale": first.scale,
        "tile_size": first.tile_size,
        "halo": first.halo,
        "device": ", ".join(str(upscaler.device) for upscaler in upscalers),
        "precision": precision_name(first.dtype),
    }


def _count(outcome: Outcome) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "done": outcome.num_done,
        "skipped": outcome.num_skipped,
        "failed": len(outcome.failures),
    }
    if outcome.scores:
        counts["scores"] = mean_score(list(outcome.scores.values())).as_json()
    if outcome.clip_scores:
        counts["clip_scores"] = mean_clip_score(list(outcome.clip_scores.values())).as_json()
    return counts
