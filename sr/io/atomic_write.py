"""Files that appear completely or not at all."""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sr.io.machine import identify_machine
from sr.io.process_lock import is_at, is_lock, try_lock

_UNFINISHED = re.compile(r"\.([0-9a-f]{8})[0-9a-f]{8}\.unfinished(\.[^.]+)?")
_REMOVED = re.compile(r"\.[0-9a-f]{16}\.removed")
_PATIENCE = 3600.0  # seconds, with files of other machines


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

    Files of processes that live are locked, and stay. Of other machines, whose locks some network
    file systems do not show, they also stay while they are younger than an hour. Return the number
    of unfinished files removed.
    """
    num_removed = 0
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            path = Path(entry.path)
            unfinished = _UNFINISHED.fullmatch(path.name)
            if unfinished and unfinished[1] != _mark_machine() and not _is_old(path):
                continue
            if (unfinished or is_lock(path)) and _remove_unlocked(path):
                num_removed += unfinished is not None
            if _REMOVED.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
    return num_removed


def remove_folder(folder: Path) -> None:
    """Delete a folder that others may look at: under its name it is there whole, or not at all."""
    gone = folder.with_name(f".{secrets.token_hex(8)}.removed")
    with suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _mark_machine() -> str:
    return hashlib.blake2b(identify_machine().encode(), digest_size=4).hexdigest()


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _PATIENCE
    return False


def _create_locked(path: Path) -> tuple[Path, int]:
    """Make an empty file, locked while its descriptor is open."""
    while True:
        temporary = path.with_name(
            f".{_mark_machine()}{secrets.token_hex(4)}.unfinished{path.suffix}"
        )
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
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
