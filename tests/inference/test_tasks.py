"""Tasks: which files are images and videos, what results are called, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from sr.errors import NoInputError, UsageError, UserError
from sr.inference.check_tasks import check_tasks
from sr.inference.options import STREAM, InferOptions, OutputOptions
from sr.inference.tasks import Task, find_tasks, is_file_name, is_video_name
from sr.inference.video.resume import locate_segments


def ask(
    inputs: list[Path], output: Path, *, reference: Path | None = None, **more: Any
) -> InferOptions:
    return InferOptions(inputs, OutputOptions(output, **more), reference=reference)


def tasks_of(inputs: list[Path], output: Path, **more: Any) -> list[Task]:
    """Tasks that are found and not refused."""
    options = ask(inputs, output, **more)
    tasks, _ = find_tasks(options, 4)
    check_tasks(tasks, options)
    return tasks


def outputs_of(inputs: list[Path], output: Path, **more: Any) -> list[str]:
    return [task.output.relative_to(output).as_posix() for task in tasks_of(inputs, output, **more)]


def kinds_of(*inputs: Path, output: Path = Path("unused")) -> dict[str, str]:
    tasks, _ = find_tasks(ask(list(inputs), output, recursive=True), 4)
    return {task.source.name: task.kind for task in tasks}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with a.png, b.jpg and below/c.png; what is in them does not matter here."""
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "below/c.png"):
        (folder / name).touch()
    return folder


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Images, videos and others, here and below."""
    root = tmp_path / "in"
    (root / "below").mkdir(parents=True)
    names = ["a.png", "b.MP4", "c.mkv", "d.gif", "notes.txt", ".hidden.mp4", "subtitles.srt"]
    for name in [*names, "below/e.webm", "below/f.jpg"]:
        (root / name).touch()
    return root


# Inputs


def test_a_folder_gives_images_and_videos(mixed: Path) -> None:
    assert kinds_of(mixed) == {
        "a.png": "image",
        "b.MP4": "video",
        "c.mkv": "video",
        "d.gif": "image",
        "e.webm": "video",
        "f.jpg": "image",
    }
    tasks, num_ignored = find_tasks(ask([mixed], Path("unused"), recursive=True), 4)
    assert num_ignored == 3
    assert {task.output.parent for task in tasks} == {Path("unused"), Path("unused/below")}


def test_each_input_comes_once_and_in_the_order_given(mixed: Path) -> None:
    again = mixed / "below" / ".." / "c.mkv"
    names = list(kinds_of(mixed / "c.mkv", mixed / "a.png", again, mixed))
    assert names[:2] == ["c.mkv", "a.png"]
    assert sorted(names) == ["a.png", "b.MP4", "c.mkv", "d.gif", "e.webm", "f.jpg"]


def test_a_file_is_what_its_name_says_or_an_image(mixed: Path) -> None:
    assert kinds_of(mixed / "b.MP4") == {"b.MP4": "video"}
    assert kinds_of(mixed / "notes.txt") == {"notes.txt": "image"}  # reported once it is opened


def test_what_goes_into_a_video_is_one(mixed: Path) -> None:
    for path in (mixed, mixed / "d.gif", mixed / "c.mkv", mixed / "%04d.png"):
        assert kinds_of(path, output=Path("out.mp4")) == {path.name: "video"}


def test_a_pattern_is_a_video_unless_a_file_is_called_so(mixed: Path) -> None:
    assert kinds_of(mixed / "%d.png") == {"%d.png": "video"}
    (mixed / "100%done.png").touch()
    assert kinds_of(mixed / "100%done.png") == {"100%done.png": "image"}
    assert kinds_of(mixed)["100%done.png"] == "image"


def test_results_inside_the_input_folder_are_no_inputs(mixed: Path) -> None:
    assert "e.webm" not in kinds_of(mixed, output=mixed / "below")
    assert "b.MP4" in kinds_of(mixed, output=mixed)


def test_segments_of_results_are_no_inputs(mixed: Path) -> None:
    folder = locate_segments(mixed / "out.mp4")
    folder.mkdir()
    (folder / "inner.mp4").touch()
    assert "inner.mp4" not in kinds_of(mixed)


def test_standard_input_is_one_image(mixed: Path) -> None:
    with pytest.raises(UsageError, match="expected no other inputs"):
        kinds_of(STREAM, mixed)


def test_nothing_to_upscale_is_reported(mixed: Path) -> None:
    with pytest.raises(NoInputError, match=r"no such file or folder: .*none\.mp4, .*gone"):
        kinds_of(mixed / "none.mp4", mixed, mixed / "gone")
    empty = mixed / "empty.mp4"
    empty.mkdir()
    with pytest.raises(NoInputError, match=r"empty\.mp4: expected images or videos .*, got none"):
        kinds_of(empty)
    with pytest.raises(NoInputError, match="no such file"):
        kinds_of(Path("x" * 5000))


# Names of results


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
        ("100%done.png", "100_done_x4.png"),
        ("a.jpg", "a_x4.png"),
    ],
)
def test_results_are_named_by_source_and_scale(source: str, expected: str, tmp_path: Path) -> None:
    if "%0" not in source:
        (tmp_path / source).touch()
    assert outputs_of([tmp_path / source], tmp_path / "out") == [expected]


def test_suffix_and_formats_can_be_chosen(images: Path, tmp_path: Path) -> None:
    (images / "v.mp4").touch()
    names = outputs_of([images], tmp_path / "out", suffix="_big", ext="webp", container="mkv")
    assert names == ["a_big.webp", "b_big.webp", "v_big.mkv"]
    assert outputs_of([images / "a.png"], tmp_path / "out", outscale=2.5) == ["a_x2.5.png"]
    assert outputs_of([images / "v.mp4"], tmp_path / "out", suffix="_%d") == ["v__d.mp4"]


def test_folders_below_the_input_reappear_below_the_output(images: Path, tmp_path: Path) -> None:
    names = outputs_of([images], tmp_path / "out", recursive=True)
    assert names == ["a_x4.png", "b_x4.png", "below/c_x4.png"]


def test_one_input_may_go_into_a_file(images: Path, tmp_path: Path) -> None:
    for name in ("new.png", "new.jpg", "new.JPEG", "new.tif"):
        assert tasks_of([images / "a.png"], tmp_path / name) == [
            Task(images / "a.png", tmp_path / name, key="a.png")
        ]
    (tmp_path / "in.avi").touch()
    for name in ("out.mp4", "frames/%d.png", "out.WEBM"):
        (task,) = tasks_of([tmp_path / "in.avi"], tmp_path / name)
        assert (task.output, task.kind) == (tmp_path / name, "video")


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
def test_a_name_distinguishes_files_from_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_file: bool, is_video: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    assert is_file_name(Path(name)) == is_file
    assert is_video_name(Path(name)) == is_video


# Refusals


@pytest.mark.parametrize(
    ("source", "output", "more", "message"),
    [
        ("a.png", "o.gif", {}, r"expected \.png, .* got \.gif"),
        ("a.png", "o.png", {"suffix": "_big"}, "--suffix _big: expected a folder as -o"),
        ("a.png", "o.png", {"ext": "jpg"}, "--ext jpg: expected what fits"),
        ("a.png", "%d.png", {}, "expected a video for a pattern of frames, got an image"),
        ("a.png", "notes", {}, "expected a folder, got a file"),
        ("a.png", "out", {"suffix": "x/y"}, "--suffix: expected a part of a file name"),
        ("v.mp4", "out.png", {}, "or a pattern such as %05d.png for a video"),
        ("v.mp4", "-", {}, "expected a file for a video, got standard output"),
        ("v.mp4", "%d.mkv", {}, r"expected frames as \.png"),
        ("v.mp4", "out.mp4", {"container": "mkv"}, "--container mkv: expected what fits"),
        ("v.mp4", "%d.png", {"ext": "jpg"}, "--ext jpg: expected what fits"),
        ("v.mp4", "out.avi", {}, r"expected \.mp4, \.mkv or \.webm, got \.avi"),
        ("v.mp4", "out.mov", {}, r"expected \.mp4, \.mkv or \.webm, got \.mov"),
        (".", "o.png", {}, "expected a folder for 3 inputs"),
        (".", ".", {"suffix": "", "ext": "jpg"}, "b.jpg would replace the input"),
        (".", ".", {"suffix": ""}, "a.png would replace the input"),
    ],
)
def test_names_that_do_not_fit_are_refused(
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    output: str,
    more: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(images)
    (images / "v.mp4").touch()
    (images / "notes").touch()
    with pytest.raises(UsageError, match=message):
        tasks_of([Path(source)], Path(output), **more)


def test_two_results_of_one_name_are_refused(images: Path, tmp_path: Path) -> None:
    (images / "below" / "a.png").touch()
    same = [images / "a.png", images / "below" / ".." / "a.png"]
    assert len(tasks_of(same, tmp_path / "out")) == 1
    with pytest.raises(UsageError, match=r"two results would have this name, those of .*a\.png"):
        tasks_of([images / "a.png", images / "below" / "a.png"], tmp_path / "out")
    (images / "a.mp4").touch()
    assert len(tasks_of([images / "a.png", images / "a.mp4"], tmp_path / "out")) == 2


def test_a_folder_with_an_images_suffix_is_a_folder(images: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.png").mkdir()
    assert outputs_of([images / "a.png"], tmp_path / "odd.png") == ["a_x4.png"]


def test_names_leave_room_for_their_segments(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.png").touch()
    for source, length in (("a.png", 251), ("a.mp4", 244)):
        output = tmp_path / "out"
        suffix = "x" * (length - 1)
        assert len(tasks_of([tmp_path / source], output, suffix=suffix)) == 1
        with pytest.raises(UsageError, match="expected a name of at most 255 bytes"):
            tasks_of([tmp_path / source], output, suffix=suffix + "x")


def test_existing_results_are_refused_and_named(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    for name in ("a_x4.png", "b_x4.png"):
        (output / name).touch()
    both = re.escape(f"{output}/a_x4.png, {output}/b_x4.png already")
    with pytest.raises(UsageError, match=both):
        tasks_of([images], output)
    assert not any(task.skipped for task in tasks_of([images], output, overwrite=True))
    (output / "b_x4.png").unlink()
    skipped = [task.skipped for task in tasks_of([images], output, skip_existing=True)]
    assert skipped == [True, False]


def test_of_many_existing_results_some_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    for index in range(9):
        (tmp_path / f"{index}.png").touch()
        (tmp_path / f"{index}_big.webp").touch()
    sources = [tmp_path / f"{index}.png" for index in range(9)]
    with pytest.raises(UsageError, match=r"4_big\.webp and 4 more already exist"):
        tasks_of(sources, tmp_path, suffix="_big", ext="webp")


def test_scores_of_an_earlier_run_are_not_replaced(images: Path) -> None:
    (images / "scores.json").touch()
    with pytest.raises(UsageError, match=r"scores\.json already exists"):
        tasks_of([images / "a.png"], images, reference=images)


def test_results_next_to_the_inputs_are_not_upscaled_again(images: Path) -> None:
    (images / "a_x4.png").touch()
    with pytest.raises(UsageError, match=r"a\.png would replace the input .*a_x4\.png"):
        tasks_of([images], images, skip_existing=True)


def test_segments_of_an_earlier_run_are_refused_unless_it_is_said_what_to_do(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.mp4").touch()
    output = tmp_path / "out.mp4"
    locate_segments(output).mkdir()
    for more in ({}, {"skip_existing": True}):
        with pytest.raises(UsageError, match=r"--resume .*--overwrite"):
            tasks_of([tmp_path / "a.mp4"], output, **more)
    for more in ({"overwrite": True}, {"resume": True}):
        assert tasks_of([tmp_path / "a.mp4"], output, **more) == [
            Task(tmp_path / "a.mp4", output, "video", "a.mp4")
        ]


def test_an_existing_video_is_left_as_it_is_whether_skipped_or_resumed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    output = tmp_path / "out.mp4"
    output.touch()
    with pytest.raises(UsageError, match=r"out\.mp4 already exists"):
        tasks_of([tmp_path / "a.mp4"], output)
    for more in ({"resume": True}, {"skip_existing": True}):
        assert tasks_of([tmp_path / "a.mp4"], output, **more)[0].skipped
    locate_segments(output).mkdir()  # of a run with --overwrite that was interrupted
    assert not tasks_of([tmp_path / "a.mp4"], output, resume=True)[0].skipped


def test_frames_that_exist_are_refused_and_continued_with_resume(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "0000.png").touch()
    with pytest.raises(UsageError, match=r"0000\.png already exists"):
        tasks_of([tmp_path / "a.mp4"], tmp_path / "%04d.png")
    assert not tasks_of([tmp_path / "a.mp4"], tmp_path / "%04d.png", resume=True)[0].skipped


def test_videos_may_be_scored_unless_a_segment_of_them_exists(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.touch()
    for output in ("out.mkv", "%d.png"):
        for resume in (False, True):
            assert tasks_of([source], tmp_path / output, reference=tmp_path, resume=resume)
    locate_segments(tmp_path / "out.mkv").mkdir()
    (tmp_path / "7.png").touch()
    for output in ("out.mkv", "%d.png"):
        with pytest.raises(UsageError, match="--reference: expected to upscale all frames of"):
            tasks_of([source], tmp_path / output, reference=tmp_path, resume=True)


def test_one_videos_originals_are_of_one_video(images: Path, tmp_path: Path) -> None:
    original = tmp_path / "hr.mkv"
    original.touch()
    with pytest.raises(UserError, match="expected a folder of originals for an image"):
        tasks_of([images / "a.png"], tmp_path / "out", reference=original)


def test_a_model_of_clips_takes_no_images(images: Path, tmp_path: Path) -> None:
    options = ask([images], tmp_path / "out")
    tasks, _ = find_tasks(options, 4)
    with pytest.raises(UsageError, match=r"looks at several frames.* got .*a\.png, .*b\.jpg$"):
        check_tasks(tasks, options, takes_clips=True)


def test_a_folder_that_another_run_makes_at_this_moment_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = Path.exists

    def make_and_look(path: Path, **more: bool) -> bool:
        path.mkdir(exist_ok=True)
        return exists(path, **more)

    monkeypatch.setattr(Path, "exists", make_and_look)
    assert not is_file_name(tmp_path / "out")
