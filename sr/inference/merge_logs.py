"""Logs of several runs, such as those of shards, summed up: what is done, what is not, how fast."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sr.errors import UserError
from sr.io.video.formats import VIDEO_SUFFIXES, is_pattern

Event = Mapping[str, Any]


@dataclass
class MergedLogs:
    """What the events of all logs come to; an input counts once, by its last event."""

    done: set[str] = field(default_factory=set)
    """Sources whose results are there."""
    skipped: set[str] = field(default_factory=set)
    """Those of them that no run has computed, since they existed."""
    videos: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    """What went wrong, by source."""
    unfinished: list[str] = field(default_factory=list)
    """Logs whose last run did not come to its end, and shards of which there is no log."""
    num_runs: int = 0
    num_frames: int = 0
    """Of videos, computed."""
    megapixels: float = 0.0
    """That networks have read."""
    seconds: float = 0.0
    """Of all runs together."""
    elapsed: float = 0.0
    """Seconds from the first event to the last."""

    @property
    def exit_code(self) -> int:
        """As of a run: 0, 3 if something is missing, 4 if all is."""
        if not (self.failures or self.unfinished):
            return 0
        return 3 if self.done else 4

    def count(self, sources: set[str], *, videos: bool) -> int:
        """Count the images or the videos among sources."""
        return len(sources & self.videos if videos else sources - self.videos)


def merge_logs(paths: Sequence[Path]) -> MergedLogs:
    """Sum the logs of `--log`. Raises UserError for what cannot be read or is no such log."""
    merged = MergedLogs()
    logs = {path: _read_events(path) for path in paths}
    events = sorted((event for log in logs.values() for event in log), key=lambda e: e["time"])
    for event in events:
        _add_event(merged, event)
    merged.skipped &= merged.done
    times = [datetime.fromisoformat(event["time"]) for event in events]
    merged.elapsed = (times[-1] - times[0]).total_seconds()
    merged.unfinished = [*_find_unfinished(logs), *_find_missing(events)]
    return merged


def _add_event(merged: MergedLogs, event: Event) -> None:
    kind, source = event["event"], str(event.get("source"))
    if kind == "start":
        merged.num_runs += 1
    elif kind == "done":
        merged.seconds += event["seconds"]
    elif kind == "item_failed":
        merged.failures[source] = str(event["error"])
        merged.done.discard(source)
    elif kind == "item_done":
        merged.failures.pop(source, None)
        if source not in merged.done and event["skipped"]:
            merged.skipped.add(source)
        merged.done.add(source)
        if not event["skipped"]:
            merged.skipped.discard(source)
            _add_work(merged, event)
    if kind in ("item_done", "item_failed") and ("frames" in event or _is_video(Path(source))):
        merged.videos.add(source)


def _add_work(merged: MergedLogs, event: Event) -> None:
    share = 1.0
    if frames := event.get("frames"):
        computed = event.get("computed", frames - event.get("resumed_at", 0))
        merged.num_frames += computed
        share = computed / frames
    merged.megapixels += share * event["megapixels"]


def _is_video(source: Path) -> bool:
    return is_pattern(source) or source.suffix.lower() in VIDEO_SUFFIXES


def _find_unfinished(logs: Mapping[Path, Sequence[Event]]) -> Iterator[str]:
    for path, events in logs.items():
        ends = [event for event in events if event["event"] in ("start", "done")]
        if not ends or ends[-1].get("ended") != "done":
            ended = ends[-1].get("ended", "killed") if ends else "killed"
            yield f"{path}: expected the last run to be done, got one that was {ended}"


def _find_missing(events: Sequence[Event]) -> Iterator[str]:
    shards = {event["shard"] for event in events if event["event"] == "start" and "shard" in event}
    for count in sorted({shard.partition("/")[2] for shard in shards}, key=int):
        names = [f"{number}/{count}" for number in range(1, int(count) + 1)]
        if missing := [name for name in names if name not in shards]:
            yield f"expected the logs of all {count} shards, got none of {', '.join(missing)}"


def _read_events(path: Path) -> list[Event]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    events = [event for line in lines if (event := _parse_event(line)) is not None]
    if not any(event["event"] == "start" and "pictures" in event for event in events):
        raise UserError(f"{path}: expected a log of infer.py --log, got another file")
    return events


def _parse_event(line: str) -> Event | None:
    """Return an event; None for a line that was cut off."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    is_event = isinstance(event, dict) and {"time", "event"} <= event.keys()
    return event if is_event else None
