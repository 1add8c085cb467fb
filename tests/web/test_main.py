"""The command line of sr-web, as far as it goes without a server."""

import asyncio
import logging
import socket
from pathlib import Path

import pytest

from sr.web.main import _is_fault, main


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
