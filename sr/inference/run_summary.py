"""How a run ended: counts, errors, scores and the exit code."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr.evaluation.scores import Score, VideoScore, average_scores, average_video_scores
from sr.inference.events import Emit
from sr.inference.tasks import Task
from sr.io.video.frame import OutputMismatchError


@dataclass
class RunSummary:
    """How the tasks of a run ended."""

    tasks: Sequence[Task]
    scores_are_lost: bool = False
    """The file of scores could not be written."""

    @property
    def num_done(self) -> int:
        """Results that were written."""
        return sum(task.is_done and not task.skipped for task in self.tasks)

    @property
    def num_skipped(self) -> int:
        """Results that existed."""
        return sum(task.is_done and task.skipped for task in self.tasks)

    @property
    def failures(self) -> dict[Path, str]:
        """What went wrong, by source."""
        failed = [task for task in self.tasks if task.error is not None]
        return {task.source: task.describe_error() for task in failed}

    @property
    def scores(self) -> dict[Path, Score]:
        """Scores of images, by source."""
        return {task.source: task.score for task in self.tasks if isinstance(task.score, Score)}

    @property
    def video_scores(self) -> dict[Path, VideoScore]:
        """Scores of videos, by source."""
        return {
            task.source: task.score for task in self.tasks if isinstance(task.score, VideoScore)
        }

    @property
    def exit_code(self) -> int:
        """0: all done; 1: a video is off; 3: some failed, others are done; 4: no usable input.

        3 also if all are done and their scores could not be saved.
        """
        if any(isinstance(task.error, OutputMismatchError) for task in self.tasks):
            return 1
        if all(task.error is None for task in self.tasks):
            return 3 if self.scores_are_lost else 0
        return 3 if any(task.is_done for task in self.tasks) else 4

    def as_fields(self) -> dict[str, Any]:
        """Return the counts and mean scores of the event `done`."""
        fields: dict[str, Any] = {
            "done": self.num_done,
            "skipped": self.num_skipped,
            "failed": len(self.failures),
        }
        if self.scores:
            fields["scores"] = average_scores(list(self.scores.values())).as_json()
        if self.video_scores:
            mean = average_video_scores(list(self.video_scores.values()))
            fields["clip_scores"] = mean.as_json()
        return fields


@contextmanager
def emit_end(
    summary: RunSummary, emit: Emit, *, started: float, num_removed: int
) -> Iterator[None]:
    """Emit `done` when the block is left, in whatever way; started: by `time.perf_counter`."""
    ended = "aborted"
    try:
        yield
        ended = "done"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    finally:
        seconds = round(time.perf_counter() - started, 3)
        fields = {**summary.as_fields(), "removed": num_removed, "seconds": seconds}
        emit("done", **fields, ended=ended)
