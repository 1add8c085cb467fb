"""The command line of sr-web, as far as it goes without a server."""

import asyncio
import logging
import os
import socket
from pathlib import Path

import pytest

from sr.web.main import _is_fault, main
from sr.web.work_folders import hold_server_folders


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def fail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_listening_needs_a_user_and_a_password(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "--listen: needs --user" in fail(capsys, "--listen", "0.0.0.0")  # noqa: S104
    assert "expected both or neither" in fail(capsys, "--user", "me")
    password = tmp_path / "password"
    password.write_text("short\n")
    arguments = ("--listen", "0.0.0.0", "--user", "me", "--password-file", str(password))  # noqa: S104
    assert "8 characters or more" in fail(capsys, *arguments)
    password.unlink()
    assert "cannot be read" in fail(capsys, *arguments)


def test_a_port_in_use_and_a_missing_folder_are_errors(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "cannot be listened on" in fail(capsys, "--port", str(port))
    assert "expected a folder" in fail(capsys, "--folder", str(tmp_path / "none"))


def test_a_device_that_is_not_there_is_an_error_before_anything_is_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "device: expected auto, cpu" in fail(capsys, "--device", "gpu")
    assert "CUDA device(s), got 'cuda:99'" in fail(capsys, "--device", "cpu,cuda:99")


def test_a_second_server_with_the_same_list_of_runs_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with hold_server_folders(tmp_path / "cache" / "sr" / "web"):
        error = fail(capsys)
        assert f"got process {os.getpid()}" in error
        assert "--state FOLDER" in error
        with hold_server_folders(tmp_path / "other"):
            pass


def test_help_is_quick_and_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("--listen", "--folder", "--token-file", "--port"))


def test_only_pages_that_are_cut_off_at_the_end_are_no_faults() -> None:
    def make_record(message: str, kind: type[BaseException] | None = None) -> logging.LogRecord:
        error = None if kind is None else (kind, kind(), None)
        return logging.LogRecord("uvicorn.error", 40, "", 0, message, None, error)

    assert _is_fault(make_record("Exception in ASGI application", ValueError))
    assert not _is_fault(make_record("Exception in ASGI application", asyncio.CancelledError))
    assert not _is_fault(make_record("Cancel 1 task(s), timeout graceful shutdown exceeded"))
