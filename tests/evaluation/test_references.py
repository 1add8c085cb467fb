"""Finding the originals of what is scored."""

from pathlib import Path

import pytest

from sr.errors import UserError
from sr.evaluation.references import References
from sr.evaluation.scores import ScoreError


@pytest.mark.parametrize("name", ["baby.png", "babyx4.png", "baby_x4.png", "baby-X2.jpg"])
def test_originals_are_found_by_the_stem_without_its_scale(tmp_path: Path, name: str) -> None:
    (tmp_path / "baby.tif").touch()
    (tmp_path / "bab.tif").touch()
    assert References(tmp_path).find_image(Path("lr") / name) == tmp_path / "baby.tif"


def test_the_full_name_goes_before_the_one_without_scale(tmp_path: Path) -> None:
    for name in ("a.png", "a_x4.png"):
        (tmp_path / name).touch()
    assert References(tmp_path).find_image(Path("a_x4.png")).name == "a_x4.png"


def test_missing_and_ambiguous_originals_are_reported(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).touch()
    references = References(tmp_path)
    with pytest.raises(ScoreError, match=r"named a in .* got a\.jpg, a\.png"):
        references.find_image(Path("a.png"))
    with pytest.raises(ScoreError, match=r"named b_x4 or b in .* got none"):
        references.find_image(Path("b_x4.png"))


@pytest.mark.parametrize(
    "source",
    [
        "lr/walk.mp4",
        "lr/walk_x4.mkv",
        "lr/walk",
        "walk/%04d.png",
        "walk_x4/frame_%d.png",
        "lr/walk_%04d.png",
    ],
)
@pytest.mark.parametrize("original", ["walk/", "walk.mkv"])
def test_a_clips_original_is_a_folder_or_video_of_its_name(
    tmp_path: Path, source: str, original: str
) -> None:
    given = tmp_path / source
    given.parent.mkdir(parents=True)
    if not given.suffix:
        given.mkdir()
    folder = tmp_path / "hr"
    for name in ("other/", original):
        (folder / name).mkdir(parents=True) if name.endswith("/") else (folder / name).touch()
    (folder / "0001.png").touch()
    found = References(folder).find_clip(given, is_only=True)
    assert found == folder / original


def test_the_only_clips_frames_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "0001.png").touch()
    references, source = References(tmp_path), Path("lr/%04d.png")
    assert references.find_clip(source, is_only=True) == tmp_path
    with pytest.raises(ScoreError, match=r"originals named lr in .*, got none"):
        references.find_clip(source, is_only=False)


def test_missing_and_ambiguous_clips_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a.mp4", "b.png", ".b"):
        (tmp_path / name).touch()
    references = References(tmp_path)
    with pytest.raises(ScoreError, match=r"one folder or video .* named a in .* got a, a\.mp4"):
        references.find_clip(Path("a.mkv"), is_only=True)
    with pytest.raises(ScoreError, match=r"named b_x4 or b in .* got none"):
        references.find_clip(Path("b_x4.mkv"), is_only=False)


@pytest.mark.parametrize("name", ["hr.mp4", "hr/%04d.png"])
def test_one_clips_original_may_be_a_video_or_a_pattern(tmp_path: Path, name: str) -> None:
    (tmp_path / "hr.mp4").touch()
    references = References(tmp_path / name)
    assert references.is_one_video
    assert references.find_clip(Path("lr.mp4"), is_only=True) == tmp_path / name


@pytest.mark.parametrize("name", ["none", "image.png"])
def test_what_can_hold_no_originals_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "image.png").touch()
    with pytest.raises(UserError, match=f"--reference .*{name}: expected a folder"):
        References(tmp_path / name)
