"""What libraries write to standard error below Python's streams, kept back or put into messages."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from threading import RLock

_STDERR = 2
_capturing = RLock()  # of two at once, one would put back what the other has put there


@contextmanager
def capture_native_errors() -> Iterator[list[str]]:
    """Keep back what is written to standard error inside, by libraries too; give it at the end.

    Concerns the whole process: what other threads report meanwhile is kept back, too.
    """
    lines: list[str] = []
    with _capturing, TemporaryFile() as file:
        copy = _redirect_errors(file.fileno())
        try:
            yield lines
        finally:
            if copy is not None:
                os.dup2(copy, _STDERR)
                os.close(copy)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


def _redirect_errors(target: int) -> int | None:
    """Lead standard error to a file. Returns a copy of what it was, None where it is closed."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        copy = os.dup(_STDERR)
    except (OSError, ValueError):  # ValueError: of Python's stream
        return None
    os.dup2(target, _STDERR)
    return copy
