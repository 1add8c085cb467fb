"""Ctrl-C, SIGTERM and SIGHUP end a run after the step at hand, with its state saved."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from sr.io.terminal import detach_terminal

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")
_MESSAGE = b"\nstopping after this step; Ctrl-C once more ends at once without saving\n"


@contextmanager
def catch_signals() -> Iterator[Callable[[], bool]]:
    """Remember a signal while entered, and give a function that returns whether one has come.

    A second Ctrl-C ends at once. What was ignored before, as SIGHUP is under nohup, stays so.
    """
    received: list[int] = []
    previous: dict[int, Any] = {}

    def remember(number: int, _frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        # Should workers die of the signal, torch is not to raise that at any line: it is the stop.
        if hasattr(signal, "SIGCHLD"):
            previous.setdefault(signal.SIGCHLD, signal.signal(signal.SIGCHLD, signal.SIG_DFL))
        if number not in (signal.SIGINT, signal.SIGTERM):
            detach_terminal()
        with suppress(OSError):
            os.write(2, _MESSAGE)  # sys.stderr may be in the middle of a line

    for number in (getattr(signal, name) for name in _STOPPING if hasattr(signal, name)):
        if signal.getsignal(number) != signal.SIG_IGN:
            previous[number] = signal.signal(number, remember)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
