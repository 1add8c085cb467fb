"""What one input costs, and what other processes write meanwhile."""

import json
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import typer
from helpers.locks import hold_elsewhere
from helpers.videos import Listener
from torch import Tensor, nn

from sr.cli import infer
from sr.errors import UsageError
from sr.inference import image, scheduler
from sr.inference.image import ImagePlan
from sr.inference.options import InferOptions, OutputOptions
from sr.inference.run import run
from sr.inference.run_summary import RunSummary
from sr.io import stop_signals
from sr.io.atomic_write import atomic_write
from sr.io.image_reader import Header
from sr.io.process_lock import LockedError, locate_lock
from sr.io.rgb8 import write_rgb8
from sr.tiling.upscaler import Upscaler


class Watched(nn.Module):
    """Enlarges by nearest neighbor, and does something at its first call."""

    def __init__(self, work: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.work = work
        self.num_calls = 0

    def forward(self, lr: Tensor) -> Tensor:
        self.num_calls += 1
        if self.num_calls == 1:
            self.work()
        return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)


def make_upscaler(network: nn.Module) -> Upscaler:
    device = torch.device("cpu")
    return Upscaler(network, scale=2, halo=0, tile_size=0, device=device, dtype=torch.float32)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five images of 6x5 pixels."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abcde":
        write_rgb8(folder / f"{name}.png", np.full((5, 6, 3), ord(name), np.uint8))
    return folder


def upscale(
    inputs: Path | Sequence[Path],
    output: Path,
    *,
    network: nn.Module | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunSummary:
    asked = InferOptions(
        [inputs] if isinstance(inputs, Path) else inputs, OutputOptions(output, **options)
    )
    return run(asked, listener or Listener(), [make_upscaler(network or Watched())])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("module", "function", "error"),
    [
        (scheduler, "probe_image", OverflowError("cannot fit 'int'\ninto an index")),
        (scheduler, "upscale_image", struct.error("unpack requires 4 bytes")),
        (image, "write_image", ZeroDivisionError("division by zero")),
    ],
)
def test_whatever_one_input_raises_is_named_by_its_type_and_the_others_are_done(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    function: str,
    error: Exception,
) -> None:
    work = getattr(module, function)

    def fail_at_c(first: Any, *others: Any, **options: Any) -> Any:
        if getattr(first, "output", first).name == "c_x2.png":  # of a task, or a path
            raise error
        return work(first, *others, **options)

    monkeypatch.setattr(module, function, fail_at_c)
    listener = Listener()
    summary = upscale(images, tmp_path / "out", listener=listener)
    assert (summary.num_done, summary.exit_code) == (4, 3)
    ((source, message),) = summary.failures.items()
    assert source.name == "c.png"
    assert f"unforeseen error, {type(error).__name__}: " in message
    assert "\n" not in message
    (failed,) = listener.fields("item_failed")
    assert failed["error"] == message
    assert "in fail_at_c\n" in failed["traceback"]
    assert names(tmp_path / "out") == ["a_x2.png", "b_x2.png", "d_x2.png", "e_x2.png"]


def test_a_broken_invariant_of_ours_ends_the_run(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(scheduler, "upscale_image", fail)
    with pytest.raises(AssertionError, match="ours"):
        upscale(images, tmp_path / "out")


def test_the_terminal_says_where_the_traceback_is_and_the_log_has_it(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(scheduler, "probe_image", fail)
    log = tmp_path / "log.jsonl"
    options = InferOptions([images / "a.png"], OutputOptions(tmp_path / "out"), log=log)
    with pytest.raises(typer.Exit) as stop:
        infer.upscale(options, [make_upscaler(Watched())])
    assert stop.value.exit_code == 4
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert shown.splitlines()[-1] == "--log FILE keeps the tracebacks of unforeseen errors"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (failed,) = [event for event in events if event["event"] == "item_failed"]
    assert failed["traceback"].startswith("Traceback")
    assert names(tmp_path) == ["in", "log.jsonl", "out"]


def test_a_result_that_another_process_writes_is_left_to_it_and_the_others_are_done(
    images: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with hold_elsewhere(output / "b_x2.png") as process:
        flags: list[dict[str, Any]] = [{}, {"overwrite": True}, {"skip_existing": True}]
        for options in flags:
            summary = upscale(images, output, **options)
            assert (summary.exit_code, list(summary.failures)) == (3, [images / "b.png"])
            assert f"got process {process.pid} on " in summary.failures[images / "b.png"]
        with pytest.raises(UsageError, match=f"process {process.pid}"):
            upscale(images / "b.png", output)
    assert "b_x2.png" not in names(output)
    listener = Listener()
    assert upscale(images, output, skip_existing=True, listener=listener).exit_code == 0
    assert listener.fields("done")[0]["skipped"] == 4
    assert names(output) == [f"{name}_x2.png" for name in "abcde"]


def test_a_result_that_another_process_has_written_meanwhile_stays_as_it_is(
    images: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"

    def write_e() -> None:  # which is not begun while the first of five is computed
        (output / "e_x2.png").write_bytes(b"of another process")

    summary = upscale(images, output, network=Watched(write_e))
    assert list(summary.failures) == [images / "e.png"]
    assert "another process has written since; it is kept" in summary.failures[images / "e.png"]
    assert (output / "e_x2.png").read_bytes() == b"of another process"
    for path in output.iterdir():
        path.unlink()
    summary = upscale(images, output, network=Watched(write_e), skip_existing=True)
    assert (summary.exit_code, summary.num_done, summary.num_skipped) == (0, 4, 1)
    assert (output / "e_x2.png").read_bytes() == b"of another process"


def test_two_runs_with_scores_in_one_folder_are_refused(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    asked = InferOptions([images], OutputOptions(output), reference=images)
    with hold_elsewhere(output / "scores.json"), pytest.raises(LockedError):
        run(asked, Listener(), [make_upscaler(Watched())])
    assert "a_x2.png" not in names(output)


def test_unfinished_files_of_killed_runs_are_removed_and_counted(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    left = output / f".{'0' * 16}.unfinished.png"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    lock = locate_lock(output / "gone.png")
    lock.write_text(json.dumps({"host": "h", "process": 1, "started": "then"}))
    with atomic_write(output / "other.png") as living:
        options = InferOptions([images], OutputOptions(output))
        with pytest.raises(typer.Exit):
            infer.upscale(options, [make_upscaler(Watched())])
        assert living.exists()
    assert "; 1 unfinished file(s) of runs that were killed removed\n" in capsys.readouterr().err
    assert names(output) == [*(f"{name}_x2.png" for name in "abcde"), "other.png"]


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="needs the main thread"
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_whole_files_and_says_how_to_go_on(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: int,
) -> None:
    monkeypatch.setattr(stop_signals, "detach_terminal", lambda: None)  # pytest's own

    def stop() -> None:
        os.kill(os.getpid(), number)
        time.sleep(0.2)  # the main thread hears of it

    output, before = tmp_path / "out", signal.getsignal(number)
    options = InferOptions([images], OutputOptions(output))
    with pytest.raises(typer.Exit) as end:
        infer.upscale(options, [make_upscaler(Watched(stop))])
    assert end.value.exit_code == code
    assert signal.getsignal(number) == before
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("interrupted: ")
    assert line.endswith("; the same command with --resume, and without --overwrite, goes on")
    assert not [name for name in names(output) if not name.endswith("_x2.png")]
    assert len(names(output)) < 5
    assert upscale(images, output, resume=True).exit_code == 0
    assert len(names(output)) == 5


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_signals.raise_stop_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("kinds", "gib", "expected"),
    [
        (["cpu", "cpu"], 64, 4),
        (["cuda"], 64, 16),  # one for each core
        (["cuda"], 4, 6),  # results of 170 MB in a quarter of the memory
        (["cuda"], 0.1, 2),
        (["cuda"] * 4, 0.1, 8),
    ],
)
def test_next_to_a_gpu_as_many_images_are_written_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kinds: list[str], gib: float, expected: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    memory = SimpleNamespace(available=gib * 2**30)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    header = Header(height=1, width=1, num_bands=3, depth=8, num_frames=2, notes=())
    plan = ImagePlan(header, (5000, 5680), 1, 3, 8, is_unfinished=False, megapixels=1.0)
    tasks: Any = [SimpleNamespace(kind="image", plan=each) for each in (plan, None)]
    upscalers: Any = [SimpleNamespace(scale=2, device=torch.device(kind)) for kind in kinds]
    options = InferOptions([tmp_path], OutputOptions(tmp_path))
    made = scheduler.Scheduler(tasks, options, upscalers, None, None)
    assert made._count_image_threads() == expected
