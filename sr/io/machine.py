"""Which machine a process runs on, as others that share a folder see it."""

import os
import socket
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


@cache
def identify_machine() -> str:
    """Return an identifier of this machine since it was started; its containers share it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        return socket.gethostname()


@cache
def identify_processes() -> str:
    """Return an identifier of this machine, or of this container, whose processes can be seen."""
    try:
        return f"{identify_machine()} {os.readlink(_PROCESSES)}"
    except OSError:
        return f"{identify_machine()} {socket.gethostname()}"
