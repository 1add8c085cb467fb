"""Leases: who works on what in a folder that several machines share.

NAME.0.lease is a file with its owner's machine and process, made by whoever comes first. The owner
touches it every few seconds. It has run out when it was not touched for `DURATION` by the clock of
the file system, which all machines share, or as soon as its process is gone, where that can be
seen. Who finds it so makes NAME.1.lease, which only one can, and so on. Given back, a lease has
run out, too; the files stay as long as the folder does, so that none is taken for an earlier one.

No lock of the system is needed, and no clock of a machine is read, but by file systems that let
each client set the times (Lustre, CephFS, SMB). A lease keeps others from doing the same work, as a
rule: after a pause of the whole process, or with such clocks a minute apart, two may hold one, so
that the work must bear being done twice.
"""

import json
import os
import secrets
import socket
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from sr.io.machine import identify_processes

DURATION = 60.0  # seconds without a touch; as long as NFS keeps what it knows of a file
INTERVAL = 5.0  # seconds between two touches
_START_TOLERANCE = 5.0  # seconds


class Leases:
    """The leases that this process holds in one folder; a context manager that gives them back."""

    def __init__(
        self, folder: Path, *, duration: float = DURATION, interval: float = INTERVAL
    ) -> None:
        self._folder = folder
        self._duration = duration
        self._interval = interval
        self._held: dict[str, Path] = {}
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
        for number in count():
            lease = self._locate(name, number)
            try:
                with lease.open("x", encoding="utf-8") as file:
                    json.dump(_describe_owner(), file)
            except FileExistsError:
                if self._holds(lease):
                    return False
                continue
            with self._changing:
                self._held[name] = lease
            break
        return True

    def release(self, name: str) -> None:
        """Give a lease back."""
        with self._changing, suppress(OSError):
            os.utime(self._held.pop(name), (0, 0))

    def is_live(self, name: str) -> bool:
        """Return whether a process holds a lease, this one or another."""
        for number in count():
            lease = self._locate(name, number)
            if not lease.exists():
                return False
            if self._holds(lease):
                break
        return True

    def any_live(self) -> bool:
        """Return whether any lease of the folder is held."""
        return any(map(self._holds, self._folder.glob("*.lease")))

    def _locate(self, name: str, number: int) -> Path:
        return self._folder / f"{name}.{number}.lease"

    def _holds(self, lease: Path) -> bool:
        """Return whether a lease has not run out."""
        with suppress(FileNotFoundError):
            age = self._read_clock() - _read_touch(lease)
            # One of the future was touched before the clock was set back, or by another clock.
            return abs(age) <= self._duration and not _is_gone(lease)
        return False

    def _read_clock(self) -> float:
        """Return the time of the file system, in seconds."""
        clock = self._folder / f"clock.{secrets.token_hex(8)}"
        clock.touch()
        try:
            return _read_touch(clock)
        finally:
            clock.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._ended.wait(self._interval):
            with self._changing:
                for lease in self._held.values():
                    with suppress(OSError):
                        os.utime(lease)


def _read_touch(path: Path) -> float:
    """Return when a file was touched. Opened for it, since NFS then asks its server."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_mtime


def _describe_owner() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "machine": identify_processes(),
        "process": os.getpid(),
        "started": psutil.Process().create_time(),
    }


def _is_gone(lease: Path) -> bool:
    """Return whether its process is known to have ended: one of this machine that is not there."""
    try:
        owner = json.loads(lease.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not written yet
        return False
    if not isinstance(owner, dict) or owner.get("machine") != identify_processes():
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
