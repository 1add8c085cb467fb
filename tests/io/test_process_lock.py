"""Locks name their holder, and end with its process."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest
from helpers.locks import hold_elsewhere

from sr.io import process_lock
from sr.io.process_lock import LockedError, check_unlocked, hold_lock, is_lock, locate_lock


def test_a_lock_of_a_living_process_is_refused_with_its_name_and_freed_by_its_death(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.mp4"
    with hold_elsewhere(path) as process:
        who = rf"process {process.pid} on {re.escape(socket.gethostname())}, started \d{{4}}-"
        with pytest.raises(LockedError, match=who):
            check_unlocked(path)
        with pytest.raises(LockedError, match=who), hold_lock(path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_lock(locate_lock(path))  # left by the kill
        check_unlocked(path)
        with hold_lock(path):
            owner = json.loads(locate_lock(path).read_text())
            assert owner["process"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_freed_by_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(RuntimeError), hold_lock(path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with hold_lock(path):
        pass


def test_the_lock_of_a_long_name_has_a_shorter_one(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    with hold_lock(path):
        assert locate_lock(path).is_file()
        with pytest.raises(LockedError):
            check_unlocked(path)
    check_unlocked(path)


def test_other_files_are_not_taken_for_locks(tmp_path: Path) -> None:
    for name, text in ((".a.lock", ""), (".b.lock", "[1]"), (".c.lock", "{"), ("d.lock", "{}")):
        (tmp_path / name).write_text(text)
        assert not is_lock(tmp_path / name)


def test_where_nothing_can_be_locked_the_work_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with hold_lock(tmp_path / "a"), hold_lock(tmp_path / "a"):
        check_unlocked(tmp_path / "a")


def test_a_lock_that_is_removed_while_it_is_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "a", []

    def remove_once(descriptor: int) -> process_lock.LockState:
        calls.append(descriptor)
        if len(calls) == 1:
            locate_lock(path).unlink()  # as the holder does at its end
        return "locked"

    monkeypatch.setattr(process_lock, "try_lock", remove_once)
    with hold_lock(path):
        assert locate_lock(path).exists()
    assert len(calls) == 2
