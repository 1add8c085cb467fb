"""Leases: who works on what in a folder that several machines share.

NAME.lease is a file with its owner's machine, process and a token, made by whoever comes first.
The owner touches it every few seconds. It has run out when it was not touched for `DURATION` by the
clock of the file system, which all machines share, or as soon as its process is gone, where that
can be seen. Who finds it so moves it aside, which only one can, and makes a new one.

No lock of the system is needed, and no clock of a machine is read. A lease keeps others from doing
the same work, as a rule: after a pause of the whole process two may hold one, so that the work
must bear being done twice.
"""

import json
import os
import secrets
import socket
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

DURATION = 60.0  # seconds without a touch; as long as NFS keeps what it knows of a file
INTERVAL = 5.0  # seconds between two touches
_SUFFIX = ".lease"
_START_TOLERANCE = 5.0  # seconds
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


class Leases:
    """The leases that this process holds in one folder; a context manager that gives them back."""

    def __init__(
        self, folder: Path, *, duration: float = DURATION, interval: float = INTERVAL
    ) -> None:
        self._folder = folder
        self._duration = duration
        self._interval = interval
        self._token = secrets.token_hex(8)
        self._held: set[str] = set()
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._renew, name="sr-leases", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for name in list(self._held):
            self.release(name)

    def claim(self, name: str) -> bool:
        """Take a lease that nobody holds, or that has run out; return whether it is ours now.

        Raises FileNotFoundError where the folder is gone, and other errors of the disk.
        """
        lease = self._locate(name)
        if not self._make(lease):
            if self.is_live(name) or not self._move_aside(lease):
                return False
            if not self._make(lease):
                return False
        with self._changing:
            self._held.add(name)
        return True

    def release(self, name: str) -> None:
        """Give a lease back, unless it has been taken over meanwhile."""
        with self._changing:
            self._held.discard(name)
        if self._is_ours(self._locate(name)):
            with suppress(OSError):
                self._locate(name).unlink()

    def is_live(self, name: str) -> bool:
        """Return whether a process holds a lease, this one or another."""
        lease = self._locate(name)
        with suppress(FileNotFoundError):
            touched = _read_touch(lease)
            if _is_gone(_read_owner(lease)):
                return False
            return self._read_clock() - touched <= self._duration
        return False

    def any_live(self) -> bool:
        """Return whether any lease of the folder is held."""
        names = [path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}")]
        return any(self.is_live(name) for name in names)

    def _locate(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _make(self, lease: Path) -> bool:
        try:
            with lease.open("x", encoding="utf-8") as file:
                json.dump(_describe_owner(self._token), file)
        except FileExistsError:
            return False
        return True

    def _move_aside(self, lease: Path) -> bool:
        """Remove a lease that has run out; return False where another process was first."""
        before = _read_owner(lease)
        aside = lease.with_name(f"{lease.name}.{self._token}")
        try:
            lease.rename(aside)
        except FileNotFoundError:
            return False
        if _read_owner(aside) != before:  # a new one, made between the two
            if lease.exists():
                aside.unlink(missing_ok=True)
            else:
                aside.rename(lease)
            return False
        aside.unlink(missing_ok=True)
        return True

    def _read_clock(self) -> float:
        """Return the time of the file system, in seconds."""
        clock = self._folder / f"clock.{self._token}"
        clock.touch()
        try:
            return _read_touch(clock)
        finally:
            clock.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._ended.wait(self._interval):
            with self._changing:
                held = list(self._held)
            for name in held:
                lease = self._locate(name)
                if self._is_ours(lease):
                    with suppress(OSError):
                        os.utime(lease)

    def _is_ours(self, lease: Path) -> bool:
        return _read_owner(lease).get("token") == self._token


def _read_touch(path: Path) -> float:
    """Return when a file was touched. Opened for it, since NFS then asks its server."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_mtime


def _describe_owner(token: str) -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "machine": identify_machine(),
        "process": os.getpid(),
        "started": psutil.Process().create_time(),
        "token": token,
    }


def _read_owner(lease: Path) -> dict[str, Any]:
    """Return what `_describe_owner` wrote; nothing where that is not all there."""
    with suppress(OSError, ValueError):
        owner = json.loads(lease.read_text(encoding="utf-8"))
        if isinstance(owner, dict):
            return owner
    return {}


def _is_gone(owner: dict[str, Any]) -> bool:
    """Return whether a process is known to have ended: one of this machine that is not there."""
    if owner.get("machine") != identify_machine():
        return False
    try:
        process = psutil.Process(owner["process"])
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        # Its start is counted from the machine's, which clocks that are set right may move.
        return bool(abs(process.create_time() - owner["started"]) > _START_TOLERANCE)
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, KeyError, TypeError):
        return False


@cache
def identify_machine() -> str:
    """Return what tells this machine, and within it this container, from others."""
    try:
        return f"{_BOOT_ID.read_text().strip()} {os.readlink(_PROCESSES)}"
    except OSError:  # not Linux
        return socket.gethostname()
