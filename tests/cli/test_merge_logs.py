"""--merge-logs sums what several runs have done, and says what is missing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def write_log(path: Path, *events: dict[str, Any]) -> Path:
    """Write events, each a second after the one before."""
    lines = [
        {"time": f"2026-01-01T00:00:{second:02}.000+00:00", **event}
        for second, event in enumerate(events)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def start(shard: str | None = None) -> dict[str, Any]:
    return {"event": "start", "pictures": 2, **({"shard": shard} if shard else {})}


def done(source: str, *, skipped: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "event": "item_done", "source": source, "skipped": skipped, "megapixels": 3.0, **more
    }  # fmt: skip


def end(ended: str = "done") -> dict[str, Any]:
    return {"event": "done", "seconds": 10.0, "ended": ended}


def test_the_logs_of_shards_are_summed(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "c.png").write_text("only words")
    logs = [tmp_path / f"{number}.jsonl" for number in (1, 2)]
    for number, log in enumerate(logs, 1):
        options = ["-o", tmp_path / "out", "-m", model, "--shard", f"{number}/2", "--log", log]
        call("-i", images, *options)
    capsys.readouterr()
    assert call("--merge-logs", *logs) == 3
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "images: 2 done, 0 skipped, 1 failed"
    assert "in 2 run(s)" in shown[2]
    assert shown[3].startswith("megapixels: 0.001, ")
    assert shown[4].startswith(f"failed: {images / 'c.png'}: expected")
    assert call("--merge-logs", logs[0]) == 3
    assert "got none of 2/2" in capsys.readouterr().out


def test_an_input_counts_once_by_its_last_event(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {"event": "item_failed", "source": "a.png", "error": "no room", "megapixels": 3.0}
    first = write_log(tmp_path / "1", start(), failed, done("b.png"), end())
    again = [start(), start(), start(), done("a.png"), done("b.png", skipped=True), end()]
    assert call("--merge-logs", first) == 3
    assert "failed: a.png: no room" in capsys.readouterr().out
    assert call("--merge-logs", write_log(tmp_path / "2", *again), first) == 0
    shown = capsys.readouterr().out
    assert "images: 2 done, 0 skipped, 0 failed" in shown
    assert "time: 20.0 s in 4 run(s), 5.0 s from" in shown
    assert "megapixels: 6.000, 1.200 per second" in shown


def test_of_a_shared_video_each_run_counts_its_frames(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = [
        write_log(
            tmp_path / str(computed),
            start(),
            done("a.mp4", frames=8, computed=computed, resumed_at=0),
            end(),
        )
        for computed in (6, 2)
    ]
    assert call("--merge-logs", *shares) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[1:3] == ["videos: 1 done, 0 skipped, 0 failed", "frames computed: 8"]
    assert shown[4].startswith("megapixels: 3.000, ")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([start(), done("a.png")], "got one that was killed"),
        ([start(), done("a.png"), end("interrupted")], "got one that was interrupted"),
    ],
)
def test_a_run_without_an_end_is_not_taken_for_all(
    call: Call,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    events: list[dict[str, Any]],
    message: str,
) -> None:
    log = write_log(tmp_path / "log", *events)
    with log.open("a") as file:
        file.write('{"time": "2026-01-01T0')  # cut off by a kill
    assert call("--merge-logs", log) == 3
    assert message in capsys.readouterr().out


def test_other_files_are_no_logs(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("only words\n[1]\n")
    assert call("--merge-logs", tmp_path / "a.txt") == 2
    assert call("--merge-logs", tmp_path / "none") == 2
    shown = capsys.readouterr().err
    assert "a.txt: expected a log of infer.py --log, got another file" in shown
    assert "none: cannot be read: No such file" in shown
