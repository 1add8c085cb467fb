"""Which files, folders and patterns are images, which videos."""

from pathlib import Path
from typing import Any

import pytest

from sr.inference.inputs import Inputs, find_inputs
from sr.inference.options import STREAM, NoInputError, Request, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images, videos and others, here and below; what is in them does not matter."""
    root = tmp_path / "in"
    (root / "below").mkdir(parents=True)
    names = ["a.png", "b.MP4", "c.mkv", "d.gif", "notes.txt", ".hidden.mp4", "subtitles.srt"]
    for name in [*names, "below/e.webm", "below/f.jpg"]:
        (root / name).touch()
    return root


def inputs_of(*paths: Path, output: Path | None = None, to_video: bool = False) -> Inputs:
    request = Request(list(paths), Path("unused"), recursive=True)
    return find_inputs(request, output, to_video=to_video)


def kinds_of(*paths: Path, **more: Any) -> dict[str, str]:
    return {each.source.name: each.kind for each in inputs_of(*paths, **more).found}


def test_a_folder_gives_images_and_videos(folder: Path) -> None:
    assert kinds_of(folder) == {
        "a.png": "image",
        "b.MP4": "video",
        "c.mkv": "video",
        "d.gif": "image",
        "e.webm": "video",
        "f.jpg": "image",
    }
    found = inputs_of(folder)
    assert found.num_ignored == 3
    assert {each.below for each in found.found} == {Path(), Path("below")}


def test_each_input_comes_once_and_in_the_order_given(folder: Path) -> None:
    again = folder / "below" / ".." / "c.mkv"
    given = [folder / "c.mkv", folder / "a.png", again, folder]
    names = [each.source.name for each in inputs_of(*given).found]
    assert names[:2] == ["c.mkv", "a.png"]
    assert sorted(names) == ["a.png", "b.MP4", "c.mkv", "d.gif", "e.webm", "f.jpg"]


def test_a_file_is_what_its_name_says_or_a_image(folder: Path) -> None:
    assert kinds_of(folder / "b.MP4") == {"b.MP4": "video"}
    assert kinds_of(folder / "notes.txt") == {"notes.txt": "image"}  # told once it is opened


def test_what_goes_into_a_video_is_one(folder: Path) -> None:
    for path in (folder, folder / "d.gif", folder / "c.mkv", folder / "%04d.png"):
        (found,) = inputs_of(path, to_video=True).found
        assert (found.source, found.kind) == (path, "video")


def test_a_pattern_is_a_video_unless_a_file_is_called_so(folder: Path) -> None:
    assert kinds_of(folder / "%d.png") == {"%d.png": "video"}
    (folder / "100%done.png").touch()
    assert kinds_of(folder / "100%done.png") == {"100%done.png": "image"}
    assert kinds_of(folder)["100%done.png"] == "image"


def test_results_inside_the_input_folder_are_no_inputs(folder: Path) -> None:
    assert "e.webm" not in kinds_of(folder, output=folder / "below")
    assert "b.MP4" in kinds_of(folder, output=folder)


def test_parts_of_results_are_no_inputs(folder: Path) -> None:
    parts = folder / ".out.mp4.parts"
    parts.mkdir()
    (parts / "part-00000").touch()
    (parts / "inner.mp4").touch()
    assert "inner.mp4" not in kinds_of(folder)


def test_standard_input_is_one_image(folder: Path) -> None:
    assert kinds_of(STREAM) == {"-": "image"}
    with pytest.raises(UsageError, match="expected no other inputs"):
        inputs_of(STREAM, folder)


def test_nothing_to_upscale_is_told(folder: Path) -> None:
    with pytest.raises(NoInputError, match=r"no such file or folder: .*none\.mp4, .*gone"):
        inputs_of(folder / "none.mp4", folder, folder / "gone")
    empty = folder / "empty.mp4"
    empty.mkdir()
    with pytest.raises(NoInputError, match=r"empty\.mp4: expected images or videos .*\.mkv"):
        inputs_of(empty)
    with pytest.raises(NoInputError, match="no such file"):
        inputs_of(Path("x" * 5000))
