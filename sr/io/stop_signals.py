"""Signals that stop a program: Ctrl-C, SIGTERM (docker stop), SIGHUP (a closed terminal).

What a program does with them is up to its handler; in training see also `sr.training.signals`.
"""

import os
import signal
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType

STOP_SIGNALS = frozenset(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopped(KeyboardInterrupt):
    """A signal that ends the program, raised in the main thread."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def get_exit_code(stop: KeyboardInterrupt) -> int:
    """Return what shells call a program that a signal has ended: 128 and its number."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


@contextmanager
def handle_signals(
    handler: Callable[[int], None], numbers: Collection[int] = STOP_SIGNALS
) -> Iterator[None]:
    """Call `handler` at these signals while inside; as it was before afterwards.

    Signals that were ignored before, as SIGHUP is under nohup, stay so. In other threads than the
    main one nothing is changed.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            detach_terminal()
        handler(number)

    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: old for number, old in before.items() if old != signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handle)
    except ValueError:  # signals are the main thread's
        before = {}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def raise_stop_signals() -> AbstractContextManager[None]:
    """Raise Stopped at SIGTERM or SIGHUP while inside, as Python raises at Ctrl-C.

    Later signals do not disturb the clearing up.
    """
    numbers = STOP_SIGNALS - {signal.SIGINT}

    def stop(number: int) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    return handle_signals(stop, numbers)


def exit_at_signals() -> AbstractContextManager[None]:
    """End the program at a signal while inside, without a word: for imports.

    Libraries of C++ abort, or print a traceback, where an exception comes while they are imported.
    """
    return handle_signals(lambda number: os._exit(128 + number))


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
