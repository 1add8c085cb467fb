"""Names of results, of videos above all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sr.inference.inputs import Input
from sr.inference.options import STREAM, Job, Kind, Request, UsageError
from sr.inference.outputs import (
    is_file_name,
    is_video_name,
    output_file,
    output_names,
    refuse_long_names,
)
from sr.inference.tasks import plan
from sr.inference.video.resume import parts_folder


def given(name: str, kind: Kind = "video") -> Input:
    return Input(Path(name), Path(), kind)


def name_of(source: Input, **more: Any) -> str:
    (name,) = output_names([source], Request([source.source], Path("out"), **more), "x4")
    assert name.parent == Path("out")
    return name.name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.mp4", "a_x4.mp4"),
        ("a.MP4", "a_x4.mp4"),
        ("a.m4v", "a_x4.mp4"),
        ("a.mov", "a_x4.mp4"),
        ("a.mkv", "a_x4.mkv"),
        ("a.webm", "a_x4.webm"),
        ("a.avi", "a_x4.mkv"),
        ("a.ts", "a_x4.mkv"),
        ("a.b.mp4", "a.b_x4.mp4"),
        ("in/%05d.png", "in_x4.mkv"),
        ("in/shot_%05d.png", "shot_x4.mkv"),
        ("50%discount.mp4", "50_discount_x4.mp4"),
        ("50% of it.mp4", "50% of it_x4.mp4"),
    ],
)
def test_a_video_goes_into_a_container_that_holds_it(source: str, expected: str) -> None:
    assert name_of(given(source)) == expected


def test_the_container_is_of_videos_and_ext_of_images() -> None:
    more = {"container": "mkv", "ext": "webp", "suffix": "_big"}
    assert name_of(given("a.mp4"), **more) == "a_big.mkv"
    assert name_of(given("a.png", "image"), **more) == "a_big.webp"


def test_no_result_in_a_folder_is_a_pattern_by_chance() -> None:
    assert name_of(given("100%done.png", "image")) == "100_done_x4.png"
    assert name_of(given("a.mp4"), suffix="_%d") == "a__d.mp4"


@pytest.mark.parametrize(
    ("name", "is_file", "is_video"),
    [
        ("out", False, False),
        ("out.png", True, False),
        ("out.mp4", True, True),
        ("OUT.MKV", True, True),
        ("out.webm", True, True),
        ("%d.png", True, False),
        ("folder.mp4", False, False),
        ("-", True, False),
        ("out.dir", False, False),
    ],
)
def test_a_name_tells_files_from_folders(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_file: bool,
    is_video: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    assert is_file_name(Path(name)) == is_file
    assert is_video_name(Path(name)) == is_video


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".m4v", ".ts"])
def test_containers_that_are_not_written_are_refused(suffix: str) -> None:
    with pytest.raises(UsageError, match=rf"expected \.mp4, \.mkv or \.webm, got {suffix}"):
        is_file_name(Path(f"out{suffix}"))


@pytest.mark.parametrize(
    ("kind", "output", "more", "message"),
    [
        ("video", "out.png", {}, "or a pattern such as %05d.png for a video"),
        ("video", "-", {}, "expected a file for a video, got standard output"),
        ("image", "%d.png", {}, "expected a video as input for a pattern"),
        ("video", "%d.mkv", {}, r"expected frames as \.png"),
        ("video", "out.mp4", {"container": "mkv"}, "--container mkv: does not fit"),
        ("video", "%d.png", {"ext": "jpg"}, "--ext jpg: does not fit"),
        ("video", "out.mp4", {"suffix": "_x"}, "--suffix _x: has no place"),
    ],
)
def test_names_that_do_not_fit_their_input_are_refused(
    kind: Kind, output: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        output_file([given("in.mp4", kind)], Request([Path("in.mp4")], Path(output), **more))


@pytest.mark.parametrize("output", ["out.mp4", "frames/%d.png", "out.WEBM"])
def test_names_that_fit_are_taken_as_they_are(output: str) -> None:
    request = Request([Path("in.avi")], Path(output))
    assert output_file([given("in.avi")], request) == Path(output)


def test_two_kinds_with_one_stem_do_not_clash(tmp_path: Path) -> None:
    for name in ("a.png", "a.mp4"):
        (tmp_path / name).touch()
    jobs = plan(Request([tmp_path], tmp_path / "out"), label="x4").jobs
    assert [job.output.name for job in jobs] == ["a_x4.mp4", "a_x4.png"]
    (tmp_path / "a.mov").touch()
    with pytest.raises(UsageError, match="two results would have this name"):
        plan(Request([tmp_path], tmp_path / "out"), label="x4")


def test_names_leave_room_for_their_parts_folder() -> None:
    refuse_long_names([Path("x" * 251 + ".png"), Path("x" * 244 + ".mp4")])
    for name in ("x" * 252 + ".png", "x" * 245 + ".mp4"):
        with pytest.raises(UsageError, match="expected a name of at most 255 bytes"):
            refuse_long_names([Path(name)])


def test_parts_of_an_earlier_run_are_refused_unless_it_is_said_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    output = tmp_path / "out.mp4"
    parts_folder(output).mkdir()
    with pytest.raises(UsageError, match=r"--resume .*--overwrite"):
        plan(Request([tmp_path / "a.mp4"], output), label="x4")
    for more in ({"existing": "overwrite"}, {"existing": "skip", "resume": True}):
        request = Request([tmp_path / "a.mp4"], output, **more)
        (job,) = plan(request, label="x4").jobs
        assert job == Job(tmp_path / "a.mp4", output, skipped=False, kind="video")


def test_an_existing_result_is_left_as_it_is_whether_skipped_or_resumed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    output = tmp_path / "out.mp4"
    output.touch()
    with pytest.raises(UsageError, match=r"out\.mp4 already exists"):
        plan(Request([tmp_path / "a.mp4"], output), label="x4")
    for resume in (False, True):
        request = Request([tmp_path / "a.mp4"], output, existing="skip", resume=resume)
        assert plan(request, label="x4").jobs[0].skipped


def test_frames_that_exist_are_refused_and_a_job_of_frames_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "0000.png").touch()
    request = Request([tmp_path / "a.mp4"], tmp_path / "%04d.png")
    with pytest.raises(UsageError, match=r"0000\.png already exists"):
        plan(request, label="x4")
    request = Request(request.inputs, request.output, existing="skip", resume=True)
    assert not plan(request, label="x4").jobs[0].skipped


def test_videos_may_be_scored_unless_a_part_of_them_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    for output in ("out.mkv", "%d.png"):
        request = Request([tmp_path / "a.mp4"], tmp_path / output, reference=tmp_path)
        assert len(plan(request, label="x4").jobs) == 1
        going_on = replace(request, existing="skip", resume=True)
        assert len(plan(going_on, label="x4").jobs) == 1
    parts_folder(tmp_path / "out.mkv").mkdir()
    (tmp_path / "7.png").touch()
    for output in ("out.mkv", "%d.png"):
        going_on = replace(going_on, output=tmp_path / output)
        with pytest.raises(UsageError, match="--reference: expected to make all frames of"):
            plan(going_on, label="x4")


def test_standard_output_takes_images_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UsageError, match="standard output"):
        plan(Request([tmp_path / "a.mp4"], STREAM), label="x4")
