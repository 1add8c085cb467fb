import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from sr.errors import UserError
from sr.web.training_runs import (
    TrainingStarter,
    find_trainer,
    list_training_runs,
    read_training_log,
    read_validation_image,
    stop_training,
)

HOLD = """
import sys, signal, time
from pathlib import Path
from sr.io.process_lock import hold_lock
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
Wait = Callable[[Callable[[], object]], None]


def write_log(runs: Path, *lines: dict[str, Any]) -> None:
    folder = runs / "mine"
    folder.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(text + '{"cut off')


def progress(step: int, loss: float) -> dict[str, Any]:
    fields = {"loss_l1": loss, "health_d_real": 0.5, "steps_per_second": 2.0}
    return {"event": "progress", "step": step, "steps": 100, **fields}


def test_curves_and_time_left_come_from_the_log(tmp_path: Path) -> None:
    scores = {"Set5": {"psnr_y": 30.0, "ssim_y": 0.8}}
    write_log(
        tmp_path,
        {"event": "start", "step": 0, "steps": 100},
        progress(10, 0.5),
        progress(20, 0.9),
        {"event": "start", "step": 10, "steps": 100},  # resumed from an earlier checkpoint
        progress(20, 0.4),
        {
            "event": "item_done",
            "item": "validation",
            "step": 20,
            "scores": scores,
            "bicubic": scores,
        },
        {"event": "warning", "step": 20, "message": "slow"},
    )
    log = read_training_log(tmp_path, "mine")
    assert log.select_curves("loss_") == [(10, "l1", 0.5), (20, "l1", 0.4)]
    assert log.select_curves("health_")[0] == (10, "d_real", 0.5)
    assert log.select_scores() == [(20, "Set5", 30.0), (20, "Set5, bicubic", 30.0)]
    assert log.estimate_seconds_left() == 40.0
    assert log.warnings == ["step 20: slow"]
    assert list_training_runs(tmp_path) == ["mine"]
    assert read_validation_image(tmp_path, "mine") is None


def test_a_name_that_is_no_run_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path / "runs", {"event": "start", "step": 0})
    (tmp_path / "log.jsonl").write_text("{}")
    for name in ("..", "../runs/mine", "", "other"):
        with pytest.raises(UserError, match="expected a run"):
            read_training_log(tmp_path / "runs", name)


def test_only_the_process_that_holds_the_lock_is_stopped(tmp_path: Path) -> None:
    write_log(tmp_path, {"event": "start", "step": 0})
    with pytest.raises(UserError, match="that goes on"):
        stop_training(tmp_path, "mine")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "mine")], stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"held\n"
        stop_training(tmp_path, "mine")
        assert program.wait(30) == 7


def test_a_trainer_that_was_killed_and_not_waited_for_is_gone(
    tmp_path: Path, wait_for: Wait
) -> None:
    write_log(tmp_path, {"event": "start", "step": 0})
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "mine")], stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"held\n"
        assert find_trainer(tmp_path, "mine") is not None
        os.kill(program.pid, signal.SIGKILL)
        wait_for(lambda: find_trainer(tmp_path, "mine") is None)
        assert psutil.Process(program.pid).status() == psutil.STATUS_ZOMBIE


def test_a_process_of_a_reused_id_or_another_host_is_not_taken(tmp_path: Path) -> None:
    import socket

    write_log(tmp_path, {"event": "start", "step": 0})
    lock = tmp_path / ".mine.lock"
    owner = {"process": os.getppid(), "started": "2001-01-01T00:00:00+00:00"}
    for host in (socket.gethostname(), "elsewhere"):
        lock.write_text(json.dumps({"host": host, **owner}))
        assert find_trainer(tmp_path, "mine") is None


def test_training_starts_only_from_files_that_were_checked(tmp_path: Path) -> None:
    starter = TrainingStarter(tmp_path / "logs")
    file = tmp_path / "a.yml"
    file.write_text("nonsense: 1\n")
    with pytest.raises(UserError, match="nonsense"):
        starter.check(file)
    with pytest.raises(UserError, match="check it first"):
        starter.start(file)
    assert not (tmp_path / "logs").exists()


def test_training_that_ends_with_an_error_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: Wait
) -> None:
    monkeypatch.setattr("sr.web.training_runs._TRAIN", "print('why'); raise SystemExit(2)")
    monkeypatch.setattr("sr.web.training_runs._CHECK", "")
    monkeypatch.setattr("sr.web.training_runs.load_options", lambda *_: None)
    starter, file = TrainingStarter(tmp_path / "logs"), tmp_path / "a.yml"
    file.write_text("")
    starter.check(file)
    log = starter.start(file)
    failed: list[str] = []

    def look() -> bool:
        failed.extend(starter.list_failed())
        return bool(failed)

    wait_for(look)
    assert failed == [f"{file}: ended with exit code 2; see {log}"]
    assert Path(log).read_text() == "why\n"
    assert starter.list_failed() == []
