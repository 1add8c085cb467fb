"""A terminal that is closed while a program runs."""

import os
import stat
import sys
from contextlib import suppress


def detach_terminal() -> None:
    """Send what is printed to nowhere where it would go to a terminal, after SIGHUP.

    Writing to a terminal that is gone is an error, at whatever line prints next.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            descriptor = stream.fileno()  # type: ignore[union-attr]  # None in programs without one
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
