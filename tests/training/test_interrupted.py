"""Full disks, kills and signals: the last checkpoint stays, and the same command goes on."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.disks import limit_file_size
from helpers.runs import assert_equal, load_state, read_events, run_folder
from torch.utils.tensorboard import SummaryWriter

from sr.errors import UserError
from sr.io.atomic_write import atomic_write
from sr.io.event_log import EventLog
from sr.io.model_file import read_model_file
from sr.options.schema import Options
from sr.training import checkpoint, data_loader, run
from sr.training.signals import catch_signals

MakeOptions = Callable[..., Options]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("owner", "attribute", "call", "named", "kept"),
    [
        (checkpoint, "write_torch_file", 2, "checkpoints/step_000000004.state", 2),
        (checkpoint, "write_model_file", 1, "checkpoints/step_000000002.safetensors", None),
        (checkpoint, "write_model_file", 2, "checkpoints/best.safetensors", 2),
        (EventLog, "write", 5, "log.jsonl", 2),
        (SummaryWriter, "add_scalar", 20, "tensorboard", 2),
    ],
)
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    tiny_options: MakeOptions,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    attribute: str,
    call: int,
    named: str,
    kept: int | None,
) -> None:
    options, work, calls = tiny_options(), getattr(owner, attribute), []

    def fill_disk(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        if len(calls) != call:
            return work(*arguments, **more)
        if attribute == "add_scalar":  # whose thread has met with it
            raise OSError(errno.ENOSPC, "No space left on device")
        with limit_file_size(700):
            return work(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, attribute, fill_disk)
        with pytest.raises(UserError) as raised:
            run.train(options)
    message = str(raised.value)
    assert message.startswith(f"{run_folder(options) / named}: ")
    assert "too large" in message or "No space left" in message
    assert message.endswith(". With more room the same command goes on from the last checkpoint")
    step = f"step_{kept:09d}" if kept is not None else None
    left = [f"{step}.safetensors", f"{step}.state"] if step else []
    assert [name for name in names(run_folder(options) / "checkpoints") if name[0] != "b"] == left
    assert run.train(options)
    whole = tiny_options("name=whole")
    assert run.train(whole)
    first, second = load_state(options, 6), load_state(whole, 6)
    del first["options"], second["options"]
    assert_equal(first, second)


def test_no_room_for_decoded_images_is_one_line(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = data_loader.decode_sources

    def fill_disk(*arguments: Any) -> Any:
        with limit_file_size(9000):
            return decode(*arguments)

    monkeypatch.setattr(run, "decode_sources", fill_disk)
    options = tiny_options()
    with pytest.raises(UserError, match=r"images\.0\.bin: .*too large; make room, or lower"):
        run.train(options)
    assert not list(run_folder(options).glob("images*"))


def test_what_killed_runs_left_is_removed_and_counted(
    tiny_options: MakeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    run.train(tiny_options("train.steps=4"))
    folder = run_folder(tiny_options())
    checkpoints = folder / "checkpoints"
    for path in (
        folder / "images.0.bin",
        folder / "images.0.json",
        folder / "pictures.3.bin",
        checkpoints / f".{'0' * 16}.unfinished.state",
        checkpoints / "step_000000005.safetensors",  # of a save that was cut off
    ):
        path.touch()
        os.utime(path, (0, 0))
    with atomic_write(checkpoints / "living.state") as living:
        assert run.train(tiny_options())
        assert living.exists()
    assert f"{folder}: removed 5 file(s) that runs left when killed" in capsys.readouterr().err
    expected = ["checkpoints", "environment.json", "log.jsonl", "options.yml", "tensorboard"]
    assert names(folder) == expected
    assert names(folder.parent) == ["tiny"]
    assert [name for name in names(checkpoints) if "5" in name or name.startswith(".")] == []


def test_an_interrupted_validation_is_made_up_for_and_gives_the_run_that_was_not(
    tiny_options: MakeOptions,
) -> None:
    whole, halves = tiny_options("name=whole"), tiny_options("name=halves")
    assert run.train(whole)

    for stop_at in (3, 6):  # the steps that are validated; asked by step, and by image

        @contextmanager
        def interrupt(first: int = stop_at) -> Iterator[Callable[[], bool]]:
            asked = iter(range(100))
            # Three steps and an image; all four of that validation, three steps and an image.
            before = {3: 4, 6: 8}[first]
            yield lambda: next(asked) >= before

        assert not run.train(halves, catch_interruption=interrupt)
        assert load_state(halves, stop_at)["validation_due"]
    assert run.train(halves)
    first, second = (load_state(options, 6) for options in (whole, halves))
    for state in (first, second):
        del state["options"], state["optimizer"]["param_groups"]  # the rate is set at each step
    assert_equal(first, second)
    best = [run_folder(options) / "checkpoints" / "best.safetensors" for options in (whole, halves)]
    assert_equal(read_model_file(best[0]).state_dict, read_model_file(best[1]).state_dict)
    steps = [event["step"] for event in read_events(halves, item="validation")]
    assert steps == [3, 6]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_ask_to_stop_and_are_as_before_afterwards(
    number: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sr.io.stop_signals.detach_terminal", lambda: None)  # pytest's own
    before = [signal.getsignal(each) for each in (number, signal.SIGCHLD)]
    with catch_signals() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), number)
        assert interrupted()
        # No handler of torch's is to raise that a worker has died of the same signal.
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    assert [signal.getsignal(each) for each in (number, signal.SIGCHLD)] == before
    assert "stopping after this step" in capfd.readouterr().err
