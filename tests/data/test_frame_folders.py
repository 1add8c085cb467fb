import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from sr.data.frame_folders import FrameFiles, cut_into_clips, find_frame_folders, find_septuplets
from sr.data.sources import DataError
from sr.io.image_formats import ImageError
from sr.io.rgb8 import write_rgb8


def write(folder: Path, *names: str, size: tuple[int, int] = (4, 6)) -> list[Path]:
    """Flat images, the number in the name their level."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        level = int("".join(letter for letter in name if letter.isdigit()))
        write_rgb8(folder / f"{name}.png", np.full((*size, 3), level, np.uint8))
    return [folder / f"{name}.png" for name in names]


def numbered(folder: Path, num_frames: int) -> list[Path]:
    return write(folder, *(f"f{number}" for number in range(num_frames)))


def find(
    *roots: Path,
    only: Sequence[str] = (),
    exclude: Sequence[str] = (),
    subfolder: str = "",
    clip_frames: int = 100,
    min_frames: int = 1,
) -> list[FrameFiles]:
    return find_frame_folders(
        roots,
        only=only,
        exclude=exclude,
        subfolder=subfolder,
        clip_frames=clip_frames,
        min_frames=min_frames,
    )


def folders(clips: list[FrameFiles]) -> list[str]:
    return [clip.paths[0].parent.name for clip in clips]


def test_each_folder_with_images_at_any_depth_is_a_clip(tmp_path: Path) -> None:
    numbered(tmp_path / "walk", 2)
    numbered(tmp_path / "more" / "deep" / "city", 3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "walk" / "notes.txt").touch()
    clips = find(tmp_path)
    assert sorted(folders(clips)) == ["city", "walk"]
    assert {clip.num_frames for clip in clips} == {2, 3}
    assert all(clip.size == (4, 6) for clip in clips)
    assert folders(find(tmp_path / "walk")) == ["walk"]
    assert len(find(tmp_path, tmp_path / "walk")) == 2


def test_frames_and_folders_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("10", "9", "100"):
        write(tmp_path / name, "f10", "f2", "f1")
    clips = find(tmp_path)
    assert folders(clips) == ["9", "10", "100"]
    assert [path.stem for path in clips[0].paths] == ["f1", "f2", "f10"]
    assert [frame[0, 0, 0] for frame in clips[0].read()] == [1, 2, 10]


def test_folders_are_chosen_and_left_out_by_name(tmp_path: Path) -> None:
    for name in ("000", "001", "011", "012"):
        numbered(tmp_path / name, 1)
    assert folders(find(tmp_path, exclude=("000", "011"))) == ["001", "012"]
    assert folders(find(tmp_path, only=("00?",))) == ["000", "001"]
    assert folders(find(tmp_path, only=("0*",), exclude=("*1",))) == ["000", "012"]
    with pytest.raises(DataError, match=r"no folder of frames found \(4 left out by name\)"):
        find(tmp_path, only=("calendar",))


def test_frames_may_lie_in_a_subfolder(tmp_path: Path) -> None:
    for name in ("car05_001", "hdclub_003"):
        numbered(tmp_path / name / "truth", 2)
        numbered(tmp_path / name / "input4", 2)
    clips = find(tmp_path, subfolder="truth", exclude=("hdclub*",))
    assert [clip.paths[0].parent for clip in clips] == [tmp_path / "car05_001" / "truth"]
    with pytest.raises(DataError, match="no folder of frames found"):
        find(tmp_path, subfolder="target")


def test_missing_and_empty_roots_are_named(tmp_path: Path) -> None:
    numbered(tmp_path / "a", 1)
    with pytest.raises(DataError, match=r"no such folder of clips: \S*/x, \S*/y$"):
        find(tmp_path / "x", tmp_path / "a", tmp_path / "y")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no folder of frames found \(0 left out"):
        find(tmp_path / "empty")


@pytest.mark.parametrize(
    ("num_frames", "clip_frames", "min_frames", "lengths"),
    [
        (7, 100, 1, [7]),
        (7, 7, 7, [7]),
        (7, 3, 1, [3, 3, 1]),
        (7, 3, 2, [3, 3]),
        (6, 3, 3, [3, 3]),
        (5, 4, 2, [4]),
    ],
)
def test_longer_clips_are_cut_into_pieces_and_a_rest_too_short_is_left_out(
    tmp_path: Path, num_frames: int, clip_frames: int, min_frames: int, lengths: list[int]
) -> None:
    paths = numbered(tmp_path, num_frames)
    clips = cut_into_clips(paths, clip_frames, min_frames)
    assert [clip.num_frames for clip in clips] == lengths
    taken = [path for clip in clips for path in clip.paths]
    assert taken == paths[: len(taken)]  # in order, each once
    assert len({clip.name for clip in clips}) == len(clips)


def test_all_faults_are_reported_at_once_with_the_folders_and_files(tmp_path: Path) -> None:
    numbered(tmp_path / "good", 3)
    numbered(tmp_path / "short", 2)
    numbered(tmp_path / "uneven", 2)
    wide = write(tmp_path / "uneven", "f9", size=(4, 8))
    numbered(tmp_path / "broken", 3)
    (tmp_path / "broken" / "f0.png").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        find(tmp_path, min_frames=3)
    title, *faults = str(caught.value).splitlines()
    assert title == "clips: 3 faults"
    assert "f0.png" in faults[0]
    assert faults[1] == f"  {tmp_path / 'short'}: expected at least 3 frames, got 2"
    assert faults[2] == (
        f"  {wide[0]}: expected 6x4 as the clip's first frame, got 8x4 (width x height)"
    )


def test_a_frame_of_another_size_is_named_when_it_is_read(tmp_path: Path) -> None:
    numbered(tmp_path, 9)
    write(tmp_path, "f6", size=(5, 6))  # neither first nor middle nor last
    (clip,) = find(tmp_path)
    with pytest.raises(ImageError, match=r"f6\.png: expected 6x4 .* got 6x5"):
        clip.read()


def test_the_frames_are_read_as_they_are_gray_ones_as_rgb(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    write_rgb8(tmp_path / "a0.png", image)
    cv2.imwrite(str(tmp_path / "a1.png"), np.full((4, 6), 7, np.uint8))
    first, second = find(tmp_path)[0].read()
    np.testing.assert_array_equal(first, image)
    assert second.shape == (4, 6, 3)
    assert (second == 7).all()


def test_the_identity_changes_with_the_names_sizes_and_times_of_the_files(tmp_path: Path) -> None:
    paths = numbered(tmp_path / "a", 3)
    first, again = FrameFiles(tuple(paths), (4, 6)), FrameFiles(tuple(paths), (4, 6))
    before = first.identity
    assert again.identity == before
    assert FrameFiles(tuple(paths[:2]), (4, 6)).identity != before
    assert FrameFiles(tuple(paths[::-1]), (4, 6)).identity != before
    assert FrameFiles(tuple(numbered(tmp_path / "b", 3)), (4, 6)).identity != before
    os.utime(paths[2], ns=(0, 0))
    assert first.identity != before


def septuplets(root: Path, *names: str) -> None:
    for name in names:
        write(root / "sequences" / name, *(f"im{number}" for number in range(1, 8)))


def test_septuplets_are_those_of_the_list(tmp_path: Path) -> None:
    septuplets(tmp_path, "00001/0001", "00001/0002", "00010/0003")
    names = tmp_path / "sep_trainlist.txt"
    names.write_text("00010/0003\n00001/0001\n\n")
    clips = find_septuplets(tmp_path, names, 7)
    assert [clip.paths[0].parent for clip in clips] == [
        tmp_path / "sequences" / "00010" / "0003",
        tmp_path / "sequences" / "00001" / "0001",
    ]
    assert [path.name for path in clips[0].paths] == [f"im{number}.png" for number in range(1, 8)]


def test_all_septuplets_of_the_list_that_are_missing_empty_or_short_are_named(
    tmp_path: Path,
) -> None:
    septuplets(tmp_path, "00001/0001", "00001/0004")
    (tmp_path / "sequences" / "00001" / "0002").mkdir()
    (tmp_path / "sequences" / "00001" / "0004" / "im7.png").unlink()
    names = tmp_path / "sep_testlist.txt"
    names.write_text("00001/0001\n00001/0002\n00001/0003\n00001/0004\n")
    with pytest.raises(DataError) as caught:
        find_septuplets(tmp_path, names, 7)
    title, *faults = str(caught.value).splitlines()
    assert title == f"clips of {names}: 3 faults"
    for fault, (name, words) in zip(
        faults,
        [
            ("0002", "no such folder"),
            ("0003", "no such folder"),
            ("0004", "at least 7 frames, got"),
        ],
        strict=True,
    ):
        assert f"00001/{name}: " in fault
        assert words in fault


def test_a_list_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt: cannot be read: No such file"):
        find_septuplets(tmp_path, tmp_path / "nowhere.txt", 1)
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    with pytest.raises(DataError, match=r"empty\.txt: expected names such as .*, got none"):
        find_septuplets(tmp_path, empty, 1)
