"""A log for machines: one JSON object per line, of one schema for training, images and video."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

Event = Literal["start", "progress", "item_done", "item_failed", "warning", "done"]


class EventLog:
    """Appends `{"time": ..., "event": ..., ...}` lines to a file, each written out at once."""

    def __init__(self, path: Path | None) -> None:
        """path: the file, made with its folders; None writes nothing."""
        self._stream: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("a", encoding="utf-8")

    def write(self, event: Event, **fields: Any) -> None:
        """Append one event. Infinite and NaN numbers are written as strings, paths as text."""
        if self._stream is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "event": event, **{key: _to_json(v) for key, v in fields.items()}}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def abandon(self) -> None:
        """Close the file, even if that fails; later events are lost."""
        with suppress(OSError):
            self.close()
        self._stream = None

    def close(self) -> None:
        """Close the file; later events are lost."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _to_json(value: Any) -> Any:
    """Convert a value into what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    return value
