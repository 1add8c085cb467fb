"""Ctrl-C and SIGTERM end a run after the step at hand, with its state saved."""

import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self


class Interruption:
    """While entered, the first signal is remembered; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self._requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._requested

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self._requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._requested = True
        sys.stderr.write("\nstopping after this step; once more ends at once without saving\n")
