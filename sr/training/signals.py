"""Ctrl-C and SIGTERM end a run after the step at hand, with its state saved."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def catch_signals() -> Iterator[Callable[[], bool]]:
    """Remember a signal while entered, and give a function that returns whether one has come.

    A second Ctrl-C ends at once.
    """
    received: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        sys.stderr.write("\nstopping after this step; once more ends at once without saving\n")

    previous = {number: signal.signal(number, remember) for number in STOPPING}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
