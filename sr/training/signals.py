"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 end a run after the step at hand, with its state saved.

Slurm sends SIGUSR1 before the time limit of a job that asks for it.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sr.io.stop_signals import STOP_SIGNALS, handle_signals

SIGNALS = STOP_SIGNALS | {getattr(signal, name) for name in ("SIGUSR1",) if hasattr(signal, name)}
"""What ends a run."""

_MESSAGE = b"\nstopping after this step; Ctrl-C once more ends at once without saving\n"


@contextmanager
def catch_signals() -> Iterator[Callable[[], bool]]:
    """Remember a signal while entered, and give a function that returns whether one has come.

    A second Ctrl-C ends at once.
    """
    received: list[int] = []
    previous: list[Any] = []  # handler of SIGCHLD

    def remember(number: int) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        # Should workers die of the signal, torch is not to raise that at any line: it is the stop.
        if hasattr(signal, "SIGCHLD") and not previous:
            previous.append(signal.signal(signal.SIGCHLD, signal.SIG_DFL))
        with suppress(OSError):
            os.write(2, _MESSAGE)  # sys.stderr may be in the middle of a line

    try:
        with handle_signals(remember, SIGNALS):
            yield lambda: bool(received)
    finally:
        for handler in previous:
            signal.signal(signal.SIGCHLD, handler)
