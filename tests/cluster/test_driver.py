"""The account that the driver keeps of what actors return."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.videos import Listener

from sr.cluster.driver import Driver
from sr.cluster.rows import Block
from sr.cluster.task_result import TaskResult
from sr.inference.run_summary import RunSummary
from sr.inference.tasks import Task
from sr.io.video.frame import OutputMismatchError

VIDEO = Task(Path("a.mp4"), Path("a_x2.mp4"), "video")


def make_done(index: int, **more: Any) -> TaskResult:
    fields = {"skipped": False, "seconds": 1.0, "megapixels": 1.0}
    return TaskResult(index, is_done=True, events=[("item_done", fields)], **more)


def drive(
    tasks: Sequence[Task], *rounds: Callable[[Sequence[Block]], Iterable[TaskResult]]
) -> tuple[RunSummary, Listener]:
    listener, waiting = Listener(), iter(rounds)
    Driver(tasks, listener).run(lambda blocks: next(waiting)(blocks), 2)
    return RunSummary(tasks), listener


def test_a_video_is_done_when_its_owner_says_so_not_when_a_helper_leaves() -> None:
    left = TaskResult(0, is_own=False)
    failed = TaskResult(0, is_own=False, error=MemoryError("here"))
    skipped = TaskResult(0, is_own=False, is_done=True, skipped=True)
    summary, listener = drive([VIDEO], lambda _: [left, failed, skipped, make_done(0)])
    assert (summary.num_done, summary.num_skipped, summary.exit_code) == (1, 0, 0)
    assert [event for event, _ in listener.events] == ["item_done"]


def test_a_helper_that_joined_a_video_has_done_it() -> None:
    joined = make_done(0, is_own=False)
    summary, listener = drive([VIDEO], lambda _: [joined, make_done(0)])
    assert summary.num_done == 1
    assert len(listener.fields("item_done")) == 1


@pytest.mark.parametrize("is_last", [False, True])
def test_a_fault_that_a_helper_found_in_the_joined_file_counts(is_last: bool) -> None:
    event: Any = ("item_failed", {"error": "off", "megapixels": 1.0})
    off = TaskResult(0, is_own=False, error=OutputMismatchError("off"), events=[event])
    results = [make_done(0), off] if is_last else [off, make_done(0)]
    summary, listener = drive([VIDEO], lambda _: results)
    assert summary.exit_code == 1
    assert listener.events[-1][0] == "item_failed"


def test_what_is_lost_is_tried_alone_and_then_reported() -> None:
    tasks = [Task(Path(f"{number}.png"), Path(f"{number}_x2.png")) for number in range(40)]
    tasks += [Task(Path("b.cbz"), Path("b_x2.cbz"), "archive")]
    tried: list[Sequence[int]] = []

    def lose_block(blocks: Sequence[Block]) -> Iterable[TaskResult]:
        tried.extend([*block] for block in blocks)
        return [make_done(index) for block in blocks if 7 not in block for index in block]

    summary, listener = drive(tasks, lose_block, lose_block)
    assert sorted(index for block in tried[:-2] for index in block) == [*range(41)]
    assert tried[-2:] == [[6], [7]]
    assert [*summary.failures] == [Path("7.png")]
    assert summary.exit_code == 3
    assert len(listener.fields("item_done")) == 40
    (failed,) = listener.fields("item_failed")
    assert failed["error"].startswith("7.png: the processes that worked on it were ended")


def test_a_fault_of_the_program_ends_the_run_with_the_actors_traceback() -> None:
    fault = TaskResult(0, fault=KeyError("name"), traceback="File worker.py, line 7")
    with pytest.raises(KeyError) as raised:
        drive([VIDEO], lambda _: [fault])
    assert "File worker.py, line 7" in str(raised.value.__cause__)
