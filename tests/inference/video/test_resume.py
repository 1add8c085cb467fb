"""Jobs that were cut off go on where they were, and end as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sr.cli import infer
from sr.inference.options import UsageError
from sr.inference.video import segment_encoder as encode
from sr.inference.video import upscale as job
from sr.inference.video.options import VideoMaking
from sr.inference.video.resume import parts_folder
from sr.io.video.frame import VideoError

PART = 4  # frames


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "frames_a_part", lambda *_: PART)


def making(**options: Any) -> VideoMaking:
    return VideoMaking(encoder={"crf": 20, "preset": "fast"}, **options)


@pytest.mark.parametrize("temporal_filter", [False, True])
@pytest.mark.parametrize("fault_at", [1, 4, 7, 12])
def test_a_resumed_job_gives_the_very_file_of_an_unbroken_one(
    studio: Any, fault_at: int, temporal_filter: bool
) -> None:
    source = studio.clip("in.mp4", 14, sound=studio.Sound(0.5), still=(4, 8))
    whole, output = studio.folder / "whole.mp4", studio.folder / "out.mp4"
    video = making(temporal_filter=temporal_filter)
    assert studio.upscale(source, whole, video=video).exit_code == 0
    cut_off = studio.Counting(fault_at=min(fault_at, 11))  # of 12 distinct frames
    assert studio.upscale(source, output, video=video, network=cut_off).exit_code == 4
    assert not output.exists()
    again, listener = studio.Counting(), studio.Listener()
    video = making(temporal_filter=temporal_filter, resume=True)
    outcome = studio.upscale(
        source, output, video=video, network=again, listener=listener, existing="skip", resume=True
    )
    assert outcome.exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    (done,) = listener.fields("item_done")
    assert done["resumed_at"] % PART == 0
    assert done["frames"] == 14
    assert not parts_folder(output).exists()


def test_only_what_is_missing_is_computed(studio: Any) -> None:
    source, output = studio.clip("in.mp4", 14), studio.folder / "out.mp4"
    studio.upscale(source, output, video=making(), network=studio.Counting(fault_at=13))
    again = studio.Counting()
    studio.upscale(source, output, video=making(resume=True), network=again, resume=True)
    assert again.num_calls <= 6  # frames 8 to 13, or fewer where the last part was whole


def test_parts_that_were_left_are_not_thrown_away_unasked(studio: Any) -> None:
    source, output = studio.clip("in.mp4", 10), studio.folder / "out.mp4"
    studio.upscale(source, output, video=making(), network=studio.Counting(fault_at=9))
    with pytest.raises(UsageError, match=r"--resume.*--overwrite"):
        studio.upscale(source, output, video=making())
    assert parts_folder(output).exists()
    assert studio.upscale(source, output, video=making(), existing="overwrite").exit_code == 0


def test_parts_made_otherwise_are_refused(studio: Any) -> None:
    source, output = studio.clip("in.mp4", 10), studio.folder / "out.mp4"
    studio.upscale(source, output, video=making(), network=studio.Counting(fault_at=9))
    other = VideoMaking(encoder={"crf": 30}, resume=True)
    outcome = studio.upscale(source, output, video=other, resume=True)
    assert outcome.exit_code == 4
    assert "holds parts of another job" in outcome.failures[source]
    outcome = studio.upscale(source, output, video=making(resume=True), resume=True)
    assert outcome.exit_code == 0


def test_images_are_gone_on_with_from_the_first_that_is_missing(studio: Any) -> None:
    source = studio.clip("in.mp4", 6)
    pattern = studio.folder / "out" / "%04d.png"
    studio.upscale(source, pattern)
    (pattern.parent / "0004.png").unlink()
    network = studio.Counting()
    outcome = studio.upscale(
        source, pattern, video=making(resume=True), network=network, existing="skip", resume=True
    )
    assert outcome.exit_code == 0
    assert network.num_calls == 2
    assert len(list(pattern.parent.iterdir())) == 6


def test_a_killed_run_goes_on_and_gives_the_file_of_an_unbroken_one(
    studio: Any, model: Path
) -> None:
    source = studio.clip("in.mp4", 40, sound=studio.Sound(1.6))
    whole, output = studio.folder / "whole.mp4", studio.folder / "out.mp4"

    def arguments(target: Path) -> list[str]:
        return ["-i", str(source), "-o", str(target), "-m", str(model), "--precision", "fp32"]

    def call(*given: str) -> None:
        with pytest.raises(SystemExit) as stop:
            infer.main(list(given))
        assert stop.value.code == 0

    call(*arguments(whole))
    script = studio.slow_program(PART)
    process = subprocess.Popen([sys.executable, "-c", script, *arguments(output)])
    deadline = time.monotonic() + 120
    while len(list(parts_folder(output).glob("part-????[0-9]"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not output.exists()
    call(*arguments(output), "--resume")
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in studio.folder.glob("*.mp4")) == [
        "in.mp4",
        "out.mp4",
        "whole.mp4",
    ]


@pytest.mark.parametrize("is_whole", [False, True])
def test_parts_of_a_result_that_was_to_be_replaced_are_gone_on_with(
    studio: Any, is_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = studio.clip("in.mp4", 10), studio.folder / "out.mp4"
    output.write_bytes(b"old")
    listener = studio.Listener()
    if is_whole:  # killed behind the last part
        monkeypatch.setattr(job, "join", faulty)
    network = studio.Counting(fault_at=None if is_whole else 9)
    studio.upscale(
        source,
        output,
        video=making(),
        network=network,
        existing="overwrite",
        listener=listener,
    )
    monkeypatch.undo()
    monkeypatch.setattr(encode, "frames_a_part", lambda *_: PART)
    assert "with --resume, and without --overwrite" in listener.fields("warning")[-1]["message"]
    assert output.read_bytes() == b"old"
    studio.upscale(source, output, video=making(resume=True), existing="skip", resume=True)
    assert len(studio.frames_of(output)) == 10
    assert not parts_folder(output).exists()
    listener = studio.Listener()
    video = making(resume=True)
    studio.upscale(source, output, video=video, existing="skip", resume=True, listener=listener)
    assert [each["skipped"] for each in listener.fields("item_done")] == [True]


def faulty(*_: Any, **__: Any) -> tuple[str, ...]:
    raise VideoError("no room")


def test_frames_that_have_changed_are_not_mixed_with_those_before(studio: Any) -> None:
    pattern = studio.folder / "frames" / "%d.png"
    studio.upscale(studio.clip("in.mkv", 10, codec="ffv1"), pattern)
    output = studio.folder / "out.mp4"
    studio.upscale(pattern, output, video=making(), network=studio.Counting(fault_at=6))
    changed = pattern.parent / "7.png"
    kept = changed.stat()
    os.utime(changed, (1, 1))
    outcome = studio.upscale(pattern, output, video=making(resume=True), resume=True)
    assert "holds parts of another job (source was" in outcome.failures[pattern]
    os.utime(changed, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert studio.upscale(pattern, output, video=making(resume=True), resume=True).exit_code == 0
