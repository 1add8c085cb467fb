"""Pipes given as files, such as `<(program)` of a shell or a FIFO: they can be read only once."""

import os
import select
import stat
import time
from pathlib import Path

_PATIENCE = 10.0  # seconds without any program at the other end
_POLL = 0.05
_CHUNK = 2**20


def is_pipe(path: Path) -> bool:
    """Return whether a path names a FIFO or a socket."""
    mode = _read_mode(path)
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def is_device(path: Path) -> bool:
    """Return whether a path names a terminal, `/dev/zero` or the like."""
    return stat.S_ISCHR(_read_mode(path))


def read_pipe(path: Path, patience: float = _PATIENCE) -> bytes:
    """Read a pipe to its end.

    patience: seconds to wait for a program that writes. Raises OSError, with TimeoutError where
    none has come by then.
    """
    deadline = time.monotonic() + patience
    content = bytearray()
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # else opening waits for a writer
    try:
        has_writer = False
        while True:
            try:
                chunk = os.read(file, _CHUNK)
            except BlockingIOError:
                has_writer = True
                select.select([file], [], [])
                continue
            content += chunk
            if chunk:
                has_writer = True
            elif has_writer:
                return bytes(content)
            elif time.monotonic() > deadline:
                raise TimeoutError(0, f"no program wrote to this pipe within {patience:g} s")
            else:
                time.sleep(_POLL)
    finally:
        os.close(file)


def _read_mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0
