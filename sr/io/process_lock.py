"""Locks between processes: files that the system unlocks when their process ends, in whatever way.

Next to PATH stands `.PATH.lock` while a process holds it, with that process's host, id and start.
Where the file system knows no locks, and on Windows for unfinished files, nothing is locked.
"""

import errno
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Literal

import psutil
from filelock import FileLock, Timeout

from sr.errors import UserError

if sys.platform != "win32":
    import fcntl

MAX_NAME_BYTES = 255  # of all usual file systems
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
# Who removes a lock of a process that is gone holds it for a moment.
_NUM_TRIES, _SECONDS_BETWEEN = 5, 0.02
_SECONDS_BETWEEN_WAITS = 0.1

LockState = Literal["locked", "busy", "unsupported"]


class LockedError(UserError):
    """Another process writes the same file or folder; the message names it."""


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Keep other processes from `path`, a file or folder, while inside. Its folder must exist.

    Raises LockedError, at once, naming the process that holds it, and UserError where the lock's
    file cannot be made.
    """
    file = locate_lock(path)
    if sys.platform == "win32":
        try:
            with FileLock(file, timeout=0):
                yield
        except Timeout:
            raise _make_error(path, file) from None
        return
    try:
        descriptor = _acquire(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    if descriptor is None:
        raise _make_error(path, file)
    try:
        _write_owner(descriptor)
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is locked: whoever opened it looks again
        os.close(descriptor)


@contextmanager
def wait_for_lock(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of `path` as `hold_lock`, after the process that holds it, if there is one.

    on_wait: gets a message once, where there is something to wait for.
    """
    with ExitStack() as stack:
        for number in count():
            try:
                stack.enter_context(hold_lock(path))
                break
            except LockedError as error:
                if number == 0:
                    on_wait(str(error))
                time.sleep(_SECONDS_BETWEEN_WAITS)
        yield


def check_unlocked(path: Path) -> None:
    """Raise LockedError where another process holds the lock of `path`."""
    file = locate_lock(path)
    if sys.platform == "win32" or not file.exists():
        return
    with suppress(OSError):
        descriptor = _acquire(file)
        if descriptor is None:
            raise _make_error(path, file)
        os.close(descriptor)


def locate_lock(path: Path) -> Path:
    """Return where the lock of a file or folder is."""
    name = f".{path.name}.lock"
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        name = f".{hashlib.blake2b(os.fsencode(path.name), digest_size=16).hexdigest()}.lock"
    return path.with_name(name)


def is_lock(file: Path) -> bool:
    """Return whether a file was written by `hold_lock`."""
    return file.name.startswith(".") and file.suffix == ".lock" and bool(_read_owner(file))


def try_lock(descriptor: int) -> LockState:
    """Lock an open file for this process, until it is closed."""
    if sys.platform == "win32":
        return "unsupported"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return "unsupported" if error.errno in _UNSUPPORTED else "busy"
    return "locked"


def is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file is still the one of this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _acquire(file: Path) -> int | None:
    """Return a descriptor of the locked file; None where another process holds it."""
    num_tries = 0
    while True:
        # No link, which would have a file elsewhere be overwritten.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(file, flags, 0o666)
        state = try_lock(descriptor)
        if state != "busy" and is_at(file, descriptor):
            return descriptor
        os.close(descriptor)  # held, or removed by the one that held it
        num_tries += state == "busy"
        if num_tries == _NUM_TRIES:
            return None
        time.sleep(_SECONDS_BETWEEN)


def _write_owner(descriptor: int) -> None:
    owner = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "started": datetime.fromtimestamp(psutil.Process().create_time())
        .astimezone()
        .isoformat(timespec="seconds"),
    }
    with suppress(OSError):  # of a full disk: the lock holds without it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(owner).encode())


def _read_owner(file: Path) -> dict[str, object]:
    """Return what `_write_owner` wrote; nothing of anything else."""
    with suppress(OSError, ValueError):
        owner = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(owner, dict) and owner.keys() == {"host", "process", "started"}:
            return owner
    return {}


def _make_error(path: Path, file: Path) -> LockedError:
    owner = _read_owner(file)
    who = "another process"
    if owner:
        who = f"process {owner['process']} on {owner['host']}, started {owner['started']}"
    return LockedError(f"{path}: expected no other process that writes there, got {who}")
