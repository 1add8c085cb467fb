"""Events reach every listener, with progress thinned out."""

from typing import Any

from sr.inference.events import to_all, with_fields, with_rare_progress
from sr.io.event_log import Event


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Event, dict[str, Any]]] = []

    def __call__(self, event: Event, **fields: Any) -> None:
        self.heard.append((event, fields))


def test_all_listeners_hear_each_event_with_its_fields() -> None:
    first, second = Listener(), Listener()
    emit = with_fields(to_all([first, second]), image=3)
    emit("item_done", output="x")
    assert first.heard == second.heard == [("item_done", {"picture": 3, "output": "x"})]


def test_only_progress_is_thinned_out() -> None:
    listener = Listener()
    emit = with_rare_progress(listener, interval=1000)
    for tile in range(5):
        emit("progress", tile=tile)
        emit("item_done", tile=tile)
    assert [event for event, _ in listener.heard] == ["progress"] + ["item_done"] * 5
