import json
from pathlib import Path

import pytest

from sr.inference.video.resume import (
    Journal,
    ManifestError,
    frames_a_part,
    identity_of,
    parts_folder,
)
from sr.io.video.frame import VideoError

MADE_OF = {"source": {"bytes": 7}, "crf": 18.0, "size": (8, 6)}


def add_part(journal: Journal, frames: int, content: bytes = b"part") -> None:
    with journal.next_part() as (path, part):
        path.write_bytes(content)
        part.frames = frames


def interrupt_part(journal: Journal) -> None:
    with journal.next_part() as (path, part):
        path.write_bytes(b"half")
        part.frames = 5
        raise KeyboardInterrupt


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def test_a_journal_is_gone_on_with_where_the_last_whole_part_ended(output: Path) -> None:
    journal = Journal.begin(output, MADE_OF)
    add_part(journal, 5)
    add_part(journal, 3)
    again = Journal.resume(output, MADE_OF)
    assert again.num_frames == 8
    assert again.num_bytes == 8
    assert [path.read_bytes() for path in again.paths] == [b"part", b"part"]
    add_part(again, 4)
    assert Journal.resume(output, MADE_OF).num_frames == 12


def test_without_an_earlier_run_resuming_begins(output: Path) -> None:
    assert Journal.resume(output, MADE_OF).num_frames == 0
    assert parts_folder(output).is_dir()


def test_beginning_removes_what_an_earlier_run_left(output: Path) -> None:
    add_part(Journal.begin(output, MADE_OF), 5)
    journal = Journal.begin(output, MADE_OF)
    assert journal.num_frames == 0
    assert not list(journal.folder.glob("part*"))


def test_a_part_that_fails_is_not_kept(output: Path) -> None:
    journal = Journal.begin(output, MADE_OF)
    with pytest.raises(KeyboardInterrupt):
        interrupt_part(journal)
    assert Journal.resume(output, MADE_OF).num_frames == 0
    assert not list(journal.folder.glob("part*"))


def test_a_part_without_frames_is_not_kept(output: Path) -> None:
    journal = Journal.begin(output, MADE_OF)
    with journal.next_part() as (path, _):
        path.write_bytes(b"header")
    assert journal.paths == []
    assert not list(journal.folder.glob("part*"))


@pytest.mark.parametrize("harm", ["cut line", "garbage", "missing part", "short part", "gap"])
def test_what_the_journal_tells_and_the_disk_does_not_hold_is_made_anew(
    output: Path, harm: str
) -> None:
    journal = Journal.begin(output, MADE_OF)
    for _ in range(3):
        add_part(journal, 5)
    book = journal.folder / "journal.jsonl"
    lines = book.read_text().splitlines(keepends=True)
    match harm:
        case "cut line":
            book.write_text("".join(lines[:-1]) + lines[-1][:9])
        case "garbage":
            book.write_bytes("".join(lines[:-1]).encode() + b"\xff\x00[1]\n")
        case "missing part":
            journal.paths[2].unlink()
        case "short part":
            journal.paths[2].write_bytes(b"p")
        case "gap":
            book.write_text(
                "".join(
                    [
                        *lines[:3],
                        json.dumps(
                            {"number": 5, "frames": 1, "first": 0, "last": 0, "end": 1, "bytes": 4}
                        ),
                    ]
                )
            )
    again = Journal.resume(output, MADE_OF)
    assert again.num_frames == 10
    add_part(again, 2)
    assert Journal.resume(output, MADE_OF).num_frames == 12


def test_parts_of_another_job_are_refused_and_kept(output: Path) -> None:
    add_part(Journal.begin(output, MADE_OF), 5)
    with pytest.raises(ManifestError, match=r"crf was 18\.0, is 20\.0.*--overwrite"):
        Journal.resume(output, {**MADE_OF, "crf": 20.0})
    assert Journal.resume(output, MADE_OF).num_frames == 5


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VideoError, match="parts cannot be written"):
        Journal.begin(tmp_path / "file" / "clip.mp4", MADE_OF)


def test_identity_changes_with_size_start_and_end(tmp_path: Path) -> None:
    path = tmp_path / "source"
    content = bytes(5 * 2**20)
    path.write_bytes(content)
    first = identity_of(path)
    assert identity_of(path) == first
    for place in (0, len(content) - 1):
        changed = bytearray(content)
        changed[place] = 1
        path.write_bytes(changed)
        assert identity_of(path) != first
    path.write_bytes(content + b"\0")
    assert identity_of(path) != first


def test_parts_are_shorter_where_frames_are_larger() -> None:
    assert frames_a_part(720, 1280) == 300
    assert frames_a_part(1080, 1920) == 192
    assert frames_a_part(2160, 3840) == 48
