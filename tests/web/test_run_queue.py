from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr.errors import UserError
from sr.inference.options import InferOptions, OutputOptions
from sr.web.queued_run import QueuedRun
from sr.web.run_queue import QueueFullError, RunQueue

Wait = Callable[[Callable[[], object]], None]
Finish = Callable[[QueuedRun], QueuedRun]


def make_run(name: str = "a", *, is_urgent: bool = False, owner: str = "me") -> QueuedRun:
    options = InferOptions([Path(f"{name}.png")], OutputOptions(Path("out")))
    return QueuedRun(options, owner, is_urgent=is_urgent)


def test_runs_are_done_one_after_the_other_urgent_ones_first(
    slow_queue: RunQueue, slow: Any, wait_for: Wait, finish: Finish
) -> None:
    first = slow_queue.submit(make_run("first"))
    wait_for(lambda: first.state == "running")
    second = slow_queue.submit(make_run("second"))
    urgent = slow_queue.submit(make_run("urgent", is_urgent=True))
    assert slow_queue.num_running == 1
    assert (slow_queue.get_place(urgent), slow_queue.get_place(second)) == (1, 2)
    assert slow_queue.get_place(first) == 0
    slow.is_free = True
    finish(second)
    assert [path.stem for path in slow.done] == ["first", "urgent", "second"]
    assert [first.state, urgent.state, second.state] == ["done"] * 3
    assert slow_queue.num_by_state["done"] == 3


def test_more_than_the_queue_holds_are_refused(slow_queue: RunQueue, wait_for: Wait) -> None:
    first = slow_queue.submit(make_run())
    wait_for(lambda: first.state == "running")
    for _ in range(3):
        slow_queue.submit(make_run())
    with pytest.raises(QueueFullError, match="at most 3"):
        slow_queue.submit(make_run())


def test_a_run_is_stopped_at_its_next_tile_and_a_waiting_one_at_once(
    slow_queue: RunQueue, slow: Any, wait_for: Wait, finish: Finish
) -> None:
    runs = [slow_queue.submit(make_run()) for _ in range(2)]
    other = slow_queue.submit(make_run(owner="other"))
    wait_for(lambda: runs[0].fraction > 0)
    runs[0].tasks[1].seconds_left = 9.0
    slow_queue.stop_all("me")
    assert runs[1].state == "stopped"
    assert finish(runs[0]).state == "stopped"
    (task,) = runs[0].tasks.values()
    assert task.state == "stopped"
    assert task.seconds_left is None
    slow.is_free = True
    assert finish(other).state == "done"


def test_progress_and_time_left_come_from_the_events(slow_queue: RunQueue, wait_for: Wait) -> None:
    run = slow_queue.submit(make_run())
    wait_for(lambda: run.fraction > 0.05)
    assert run.num_tasks == 1
    assert run.tasks[1].source == Path("a.png")
    left = run.estimate_seconds_left()
    assert left is not None
    assert left >= 0
    run.tasks[1].seconds_left = 500.0  # of a video, by its frames
    assert run.estimate_seconds_left() == 500.0


def test_errors_are_those_of_the_command_line_and_faults_end_one_run_only(
    finish: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    errors: list[Exception] = [UserError("a.png: expected b, got c"), RuntimeError("a fault")]

    def fail(*_: Any) -> Any:
        raise errors.pop(0)

    queue = RunQueue(lambda: fail)
    queue.start()
    first, second = queue.submit(make_run()), queue.submit(make_run())
    assert finish(first).list_errors() == ["a.png: expected b, got c"]
    assert finish(second).list_errors() == ["internal error, RuntimeError: a fault"]
    assert [first.state, second.state] == ["failed", "failed"]
    assert queue.is_alive
    queue.close()
    assert "RuntimeError: a fault" in capsys.readouterr().err
    with pytest.raises(QueueFullError):
        queue.submit(make_run())


def test_a_list_that_cannot_be_saved_does_not_end_the_queue(finish: Finish, slow: Any) -> None:
    def fail(_: QueuedRun) -> None:
        raise OSError(28, "No space left on device")

    slow.is_free = True
    queue = RunQueue(lambda: slow)
    queue.start()
    run = make_run()
    run.on_change = fail
    assert finish(queue.submit(run)).state == "done"
    assert "No space left" in run.notes[0]
    queue.close()


def test_the_files_of_forgotten_runs_are_removed(
    tmp_path: Path, slow_queue: RunQueue, slow: Any, finish: Finish, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sr.web.run_queue._NUM_REMEMBERED", 1)
    slow.is_free = True
    runs = [make_run() for _ in range(3)]
    for number, run in enumerate(runs):
        run.work = tmp_path / str(number)
        run.work.mkdir()
        finish(slow_queue.submit(run))
    assert [run.work.exists() for run in runs if run.work] == [False, False, True]


def test_an_engine_that_cannot_be_made_is_the_error_of_each_run(finish: Finish) -> None:
    def fail() -> Any:
        raise UserError("device: expected another")

    queue = RunQueue(fail)
    queue.start()
    runs = [finish(queue.submit(make_run())) for _ in range(2)]
    assert [run.state for run in runs] == ["failed"] * 2
    assert runs[1].error == "nothing can be computed: device: expected another"
    queue.close()
