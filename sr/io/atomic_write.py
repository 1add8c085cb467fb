"""Files that appear completely or not at all."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sr.io.process_lock import is_at, is_lock, try_lock

_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.unfinished(\.[^.]+)?")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a name next to `path` to write to; at the end the file replaces `path`.

    The name is that of an empty file, to be written to and not to be replaced; it ends as `path`
    does. An error inside leaves `path` as it was, and nothing next to it; a killed process leaves
    what `remove_abandoned` finds. Errors of the system name `path`.
    """
    temporary, descriptor = _create_locked(path)
    try:
        yield temporary
        os.fsync(descriptor)
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def remove_abandoned(folder: Path) -> int:
    """Remove what killed processes have left of `atomic_write` in a folder, and their locks.

    Files of processes that live are locked, and stay, wherever those run. Return the number of
    unfinished files removed.
    """
    num_removed = 0
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            path = Path(entry.path)
            is_unfinished = _UNFINISHED.fullmatch(path.name) is not None
            if (is_unfinished or is_lock(path)) and _remove_unlocked(path):
                num_removed += is_unfinished
    return num_removed


def _create_locked(path: Path) -> tuple[Path, int]:
    """Make an empty file, locked while its descriptor is open."""
    while True:
        temporary = path.with_name(f".{secrets.token_hex(8)}.unfinished{path.suffix}")
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        # Between the two another process may have taken it for abandoned.
        if try_lock(descriptor) != "busy" and is_at(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)


def _remove_unlocked(path: Path) -> bool:
    """Remove a file unless a process has locked it, or nobody can know."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        if try_lock(descriptor) != "locked" or not is_at(path, descriptor):
            return False
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
