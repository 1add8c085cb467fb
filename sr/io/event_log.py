"""A log for machines: one JSON object per line, of one schema for training, images and video."""

import json
import math
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Literal

Event = Literal["start", "progress", "item_done", "item_failed", "note", "warning", "done"]


class EventLog:
    """Appends `{"time": ..., "event": ..., ...}` lines to a file, each written out at once."""

    def __init__(self, path: Path | None) -> None:
        """path: the file, made with its folders; None writes nothing."""
        self._stream: FileIO | None = None  # without a buffer, which would try again at the end
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("ab", buffering=0)
            if _is_cut_off(path):
                self._stream.write(b"\n")

    def write(self, event: Event, **fields: Any) -> None:
        """Append one event. Infinite and NaN numbers are written as strings, paths as text."""
        if self._stream is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "event": event, **{key: _to_json(v) for key, v in fields.items()}}
        content = json.dumps(line).encode() + b"\n"
        position = self._get_size()
        try:
            while content:  # in one go, but for the last bytes that a disk has room for
                content = content[self._stream.write(content) :]
        except OSError:
            with suppress(OSError):  # no part of a line stays, where that can be helped
                if position is not None:
                    os.ftruncate(self._stream.fileno(), position)
            raise

    def _get_size(self) -> int | None:
        """Return the length of the file; None of a pipe or device."""
        assert self._stream is not None
        status = os.fstat(self._stream.fileno())
        return status.st_size if stat.S_ISREG(status.st_mode) else None

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


def _is_cut_off(path: Path) -> bool:
    """Return whether a file ends within a line, as after a power failure."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


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
