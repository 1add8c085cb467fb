"""Events reach every listener, with progress thinned out."""

from helpers.videos import Listener

from sr.inference.events import add_fields, limit_progress, send_to_all


def test_all_listeners_hear_each_event_with_its_fields() -> None:
    first, second = Listener(), Listener()
    emit = add_fields(send_to_all([first, second]), picture=3)
    emit("item_done", output="x")
    assert first.events == second.events == [("item_done", {"picture": 3, "output": "x"})]


def test_only_progress_is_thinned_out() -> None:
    listener = Listener()
    emit = limit_progress(listener, interval=1000)
    for tile in range(5):
        emit("progress", tile=tile)
        emit("item_done", tile=tile)
    assert [event for event, _ in listener.events] == ["progress"] + ["item_done"] * 5
