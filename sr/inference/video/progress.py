"""How far a video is, how fast it goes, and which stage holds up the others."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

_WINDOW = 20.0  # seconds that the speed is the mean of
_FULL = 0.5  # mean fill of a queue from which on its taker is taken for the slower one
_MEMORY = 0.95  # of the mean fill, kept at each frame


class Progress:
    """Counts frames as they are written, and measures how fast they come."""

    def __init__(self, num_done: int, num_frames: int | None) -> None:
        """num_done: frames of earlier runs. num_frames: of all, None where nobody knows."""
        self._num_done = num_done
        self._num_frames = num_frames
        self._fills: dict[str, float] = {}
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), num_done)])

    def advance(self, fills: Mapping[str, float]) -> dict[str, Any]:
        """Count one frame more; return the fields of the event.

        fills: of the stages but the last, in order: how full the queue behind each is, 0 to 1.
        """
        self._num_done += 1
        for name, fill in fills.items():
            mean = self._fills.get(name, fill)
            self._fills[name] = _MEMORY * mean + (1 - _MEMORY) * fill
        now = time.monotonic()
        self._marks.append((now, self._num_done))
        while len(self._marks) > 2 and now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()
        then, done_then = self._marks[0]
        fps = (self._num_done - done_then) / max(now - then, 1e-6)
        fields: dict[str, Any] = {
            "frame": self._num_done,
            "frames": self._num_frames,
            "fps": round(fps, 3),
            "queues": {name: round(fill, 2) for name, fill in self._fills.items()},
            "bottleneck": find_bottleneck(self._fills),
        }
        if self._num_frames is not None:
            remaining = max(self._num_frames - self._num_done, 0)
            fields["seconds_left"] = round(remaining / max(fps, 1e-6), 1)
        return fields


def find_bottleneck(fills: Mapping[str, float], last: str = "encode") -> str:
    """Return the stage that the others wait for: the queue before it is full, the next one empty.

    fills: as in `Progress.advance`. last: the stage behind the last queue.
    """
    names: Sequence[str] = [*fills, last]
    for number in range(len(fills), 0, -1):
        if fills[names[number - 1]] >= _FULL:
            return names[number]
    return names[0]
