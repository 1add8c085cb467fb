import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.disks import limit_file_size

from sr.io.event_log import EventLog


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_event_is_one_json_line_with_its_time(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run.jsonl")
    before = datetime.now(UTC)
    log.write("start", items=2)
    log.write("item_done", item="a\nb.png", scores={"psnr": 31.5})
    log.close()
    first, second = lines(tmp_path / "run.jsonl")
    assert list(first)[:2] == ["time", "event"]
    assert (first["event"], first["items"]) == ("start", 2)
    assert (second["item"], second["scores"]) == ("a\nb.png", {"psnr": 31.5})
    written = datetime.fromisoformat(first["time"])
    assert abs((written - before).total_seconds()) < 60
    assert written.utcoffset() is not None


def test_an_event_is_in_the_file_at_once(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run.jsonl")
    log.write("progress", step=1)
    assert len(lines(tmp_path / "run.jsonl")) == 1
    log.close()


def test_a_log_goes_on_where_an_older_one_ended(tmp_path: Path) -> None:
    for step in (1, 2):
        log = EventLog(tmp_path / "run.jsonl")
        log.write("progress", step=step)
        log.close()
    assert [line["step"] for line in lines(tmp_path / "run.jsonl")] == [1, 2]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    EventLog(tmp_path / "a" / "b" / "run.jsonl").close()
    assert (tmp_path / "a" / "b" / "run.jsonl").is_file()


def test_numbers_that_json_lacks_and_paths_are_written_as_text(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run.jsonl")
    log.write(
        "done",
        psnr=float("inf"),
        scores={"Set5": {"psnr": float("-inf")}, 4: [float("nan"), 1.5, (2, None)]},
        output=Path("results") / "a.png",
        ok=True,
    )
    log.close()
    (line,) = lines(tmp_path / "run.jsonl")
    assert line["psnr"] == "inf"
    assert line["scores"] == {"Set5": {"psnr": "-inf"}, "4": ["nan", 1.5, [2, None]]}
    assert line["output"] == str(Path("results/a.png"))
    assert line["ok"] is True
    text = (tmp_path / "run.jsonl").read_text(encoding="utf-8")
    assert "Infinity" not in text
    assert "NaN" not in text


def test_a_log_without_a_file_takes_events_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = EventLog(None)
    log.write("start")
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_after_closing_events_are_lost_and_closing_again_is_harmless(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run.jsonl")
    log.close()
    log.write("warning", message="too late")
    log.close()
    assert lines(tmp_path / "run.jsonl") == []


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "progr')
    for _ in range(2):
        log = EventLog(path)
        log.write("done")
        log.close()
    written = path.read_text().splitlines()[1:]
    assert [json.loads(line)["event"] for line in written] == ["done", "done"]


def test_of_a_line_that_the_disk_has_no_room_for_nothing_stays(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = EventLog(path)
    log.write("start")
    whole = path.read_bytes()
    with limit_file_size(len(whole) + 5), pytest.raises(OSError, match="too large"):
        log.write("done")
    log.abandon()
    assert path.read_bytes() == whole
