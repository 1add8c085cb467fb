"""The videos of a run: scored or not, alone or together with other runs."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sr.evaluation.scores import ScoreError
from sr.inference.events import Emit
from sr.inference.mask import Mask
from sr.inference.options import InferOptions
from sr.inference.share_tasks import is_shared
from sr.inference.tasks import Task
from sr.inference.video.plan import VideoPlan
from sr.inference.video.scoring import open_scorer
from sr.inference.video.shared_segments import has_shared_segments
from sr.inference.video.upscale import upscale_video
from sr.inference.video.upscale_shared import SharedVideo
from sr.losses.lpips import LPIPS
from sr.memory import measure_peak_gib
from sr.tiling.upscaler import Upscaler

_POLL = 1.0  # seconds


class VideoTasks:
    """Upscales the videos of one run."""

    def __init__(
        self,
        options: InferOptions,
        upscalers: Sequence[Upscaler],
        lpips: LPIPS | None,
        mask: Mask | None,
    ) -> None:
        self._options = options
        self._upscalers = upscalers
        self._lpips = lpips
        self._mask = mask
        self._shared: dict[Path, SharedVideo] = {}

    def upscale(self, task: Task, plan: VideoPlan, emit: Emit) -> dict[str, Any] | None:
        """Upscale one video; return the fields of its event.

        None: other runs have what is missing. Raises as `upscale_video`, and ScoreError.
        """
        options = self._options
        if is_shared(task, options):
            fields = self._share(task, plan, emit)
        elif options.output.resume and has_shared_segments(task.output):
            while (fields := self._share(task, plan, emit)) is None:
                wait_for_others()
        elif task.original is None:
            fields = upscale_video(plan, options, self._upscalers, emit, mask=self._mask)
        else:
            fields = self._upscale_scored(task, task.original, plan, emit)
        return None if fields is None else {**fields, "peak_gib": measure_peak_gib()}

    def _share(self, task: Task, plan: VideoPlan, emit: Emit) -> dict[str, Any] | None:
        shared = self._shared.get(task.output)
        if shared is None:
            shared = SharedVideo(
                plan, self._options, self._upscalers, is_own=task.is_own, mask=self._mask
            )
            self._shared[task.output] = shared
        try:
            return shared.advance(emit)
        finally:
            task.num_computed = shared.num_computed

    def _upscale_scored(
        self, task: Task, original: Path, plan: VideoPlan, emit: Emit
    ) -> dict[str, Any]:
        with open_scorer(original, plan, self._options.video, self._lpips) as scorer:
            fields = upscale_video(
                plan, self._options, self._upscalers, emit, scorer, mask=self._mask
            )
            try:
                task.score = score = scorer.score()
            except ScoreError as error:
                raise ScoreError(f"{task.output} is written, but {error}") from error
        return {**fields, "scores": score.as_json()}


def wait_for_others() -> None:
    """Wait until it is time to look again at videos of which other runs have the rest."""
    time.sleep(_POLL)
