"""SIGTERM and SIGHUP (docker stop, systemd, a closed terminal) end infer.py as Ctrl-C does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sr.io.terminal import detach_terminal

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """A signal that ends the program, raised in the main thread."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def get_exit_code(stop: KeyboardInterrupt) -> int:
    """Return what shells call a program that a signal has ended: 128 and its number."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


@contextmanager
def raise_stop_signals() -> Iterator[None]:
    """Raise Stopped at the first signal while inside; later ones do not disturb the clearing up.

    Signals that were ignored before, as SIGHUP is under nohup, stay so. In other threads than the
    main one nothing is changed.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in handlers:
            signal.signal(other, signal.SIG_IGN)
        if number != signal.SIGTERM:
            detach_terminal()
        raise Stopped(number)

    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    handlers = {number: old for number, old in handlers.items() if old != signal.SIG_IGN}
    try:
        for number in handlers:
            signal.signal(number, stop)
    except ValueError:  # signals are the main thread's
        handlers = {}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
