"""The manifest of segments: what is listed, what is on disk, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from sr.inference.video.resume import (
    ManifestError,
    SegmentManifest,
    choose_frames_per_segment,
    fingerprint,
    locate_segments,
)
from sr.io.video.frame import VideoError

DEPENDS_ON = {"source": {"bytes": 7}, "crf": 18.0, "size": (8, 6)}


def open_manifest(output: Path, *, resume: bool = False) -> SegmentManifest:
    return SegmentManifest.open(output, DEPENDS_ON, resume=resume)


def add_segment(manifest: SegmentManifest, frames: int, content: bytes = b"part") -> None:
    with manifest.add_segment() as (path, segment):
        path.write_bytes(content)
        segment.frames = frames


def interrupt_segment(manifest: SegmentManifest) -> None:
    with manifest.add_segment() as (path, segment):
        path.write_bytes(b"half")
        segment.frames = 5
        raise KeyboardInterrupt


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def test_a_manifest_continues_after_the_last_complete_segment(output: Path) -> None:
    manifest = open_manifest(output)
    add_segment(manifest, 5)
    add_segment(manifest, 3)
    again = open_manifest(output, resume=True)
    assert again.num_frames == 8
    assert again.num_bytes == 8
    assert [path.read_bytes() for path in again.paths] == [b"part", b"part"]
    add_segment(again, 4)
    assert open_manifest(output, resume=True).num_frames == 12


def test_without_an_earlier_run_resuming_begins(output: Path) -> None:
    assert open_manifest(output, resume=True).num_frames == 0
    assert locate_segments(output).is_dir()


def test_beginning_removes_what_an_earlier_run_left(output: Path) -> None:
    add_segment(open_manifest(output), 5)
    manifest = open_manifest(output)
    assert manifest.num_frames == 0
    assert not list(manifest.folder.glob("segment*"))


def test_a_segment_that_fails_is_not_kept(output: Path) -> None:
    manifest = open_manifest(output)
    with pytest.raises(KeyboardInterrupt):
        interrupt_segment(manifest)
    assert open_manifest(output, resume=True).num_frames == 0
    assert not list(manifest.folder.glob("segment*"))


def test_a_segment_without_frames_is_not_kept(output: Path) -> None:
    manifest = open_manifest(output)
    with manifest.add_segment() as (path, _):
        path.write_bytes(b"header")
    assert manifest.paths == []
    assert not list(manifest.folder.glob("segment*"))


@pytest.mark.parametrize(
    "harm",
    [
        "cut line",
        "garbage",
        "missing segment",
        "short segment",
        "other content",
        "other number",
        "gap",
    ],
)
def test_what_the_manifest_lists_and_the_disk_does_not_hold_is_made_again(
    output: Path, harm: str
) -> None:
    manifest = open_manifest(output)
    for _ in range(3):
        add_segment(manifest, 5)
    file = manifest.folder / "manifest.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    match harm:
        case "cut line":
            file.write_text("".join(lines[:-1]) + lines[-1][:9])
        case "garbage":
            file.write_bytes("".join(lines[:-1]).encode() + b"\xff\x00[1]\n")
        case "missing segment":
            manifest.paths[2].unlink()
        case "short segment":
            manifest.paths[2].write_bytes(b"p")
        case "other content":  # of the same size
            manifest.paths[2].write_bytes(b"pert")
        case "other number":
            file.write_text("".join([*lines[:3], lines[3].replace('"last": 0', '"last": 1')]))
        case "gap":
            file.write_text("".join([*lines[:3], lines[3].replace('"number": 2', '"number": 5')]))
    again = open_manifest(output, resume=True)
    assert again.num_frames == 10
    assert again.num_rejected == (harm not in ("cut line", "garbage"))
    add_segment(again, 2)
    assert open_manifest(output, resume=True).num_frames == 12


def test_segments_without_hashes_are_refused_and_kept(output: Path) -> None:
    manifest = open_manifest(output)
    add_segment(manifest, 5)
    file = manifest.folder / "manifest.jsonl"
    head, line = map(json.loads, file.read_text().splitlines())
    del line["hash"]
    file.write_text(f"{json.dumps(head)}\n{json.dumps(line)}\n")
    with pytest.raises(ManifestError, match=r"segments with a hash.*Add --overwrite"):
        open_manifest(output, resume=True)
    assert manifest.paths[0].exists()


def test_unfinished_files_of_a_killed_run_are_removed(output: Path) -> None:
    manifest = open_manifest(output)
    add_segment(manifest, 5)
    left = manifest.folder / f".{'0' * 16}.unfinished.mp4"
    left.touch()
    os.utime(left, (0, 0))
    open_manifest(output, resume=True)
    assert sorted(path.name for path in manifest.folder.iterdir()) == [
        "manifest.jsonl",
        "segment-00000",
    ]


def test_segments_of_another_job_are_refused_and_kept(output: Path) -> None:
    add_segment(open_manifest(output), 5)
    with pytest.raises(ManifestError, match=r"crf was 18\.0, is 20\.0.*--overwrite"):
        SegmentManifest.open(output, {**DEPENDS_ON, "crf": 20.0}, resume=True)
    assert open_manifest(output, resume=True).num_frames == 5


def test_segments_of_another_version_are_refused_and_kept(output: Path) -> None:
    folder = locate_segments(output)
    folder.mkdir()
    (folder / "journal.jsonl").write_text("{}\n")
    (folder / "part-00000").touch()
    with pytest.raises(ManifestError, match=r"as of another version .* Add --overwrite"):
        open_manifest(output, resume=True)
    assert len(list(folder.iterdir())) == 2
    assert open_manifest(output).segments == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VideoError, match="cannot write segments"):
        open_manifest(tmp_path / "file" / "clip.mp4")


def test_a_fingerprint_changes_with_size_start_and_end(tmp_path: Path) -> None:
    path = tmp_path / "source"
    content = bytes(5 * 2**20)
    path.write_bytes(content)
    first = fingerprint(path)
    assert fingerprint(path) == first
    for place in (0, len(content) - 1):
        changed = bytearray(content)
        changed[place] = 1
        path.write_bytes(changed)
        assert fingerprint(path) != first
    path.write_bytes(content + b"\0")
    assert fingerprint(path) != first


def test_segments_are_shorter_where_frames_are_larger() -> None:
    assert choose_frames_per_segment(720, 1280) == 300
    assert choose_frames_per_segment(1080, 1920) == 192
    assert choose_frames_per_segment(2160, 3840) == 48
    assert choose_frames_per_segment(2160, 3840, on_gpu=True) == 300  # of a slow start
