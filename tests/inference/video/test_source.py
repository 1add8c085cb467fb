"""Videos from any kind of source, cut and re-timed: what is announced beforehand is what comes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import make_clip
from PIL import Image

from sr.inference.video.source import USUAL_RATE, open_source
from sr.inference.video_options import VideoOptions
from sr.io.rgb8 import write_rgb8
from sr.io.video.frame import Frame, VideoError, VideoInfo
from sr.io.video.time_range import parse_moment


def read_source(path: Path, **options: Any) -> tuple[VideoInfo, list[Frame]]:
    for key in ("start", "end"):
        if key in options:
            options[key] = parse_moment(options[key])
    with open_source(path, VideoOptions(**options)) as source:
        info = source.info
        return info, list(source.frames())


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, range(20)),
        ({"start": "5f"}, range(5, 20)),
        ({"end": "5f"}, range(5)),
        ({"start": "5f", "end": "7f"}, range(5, 7)),
        ({"start": "0.2"}, range(5, 20)),
        ({"start": "0.2", "end": "0.4"}, range(5, 10)),
        ({"start": "5f", "end": "0.4"}, range(5, 10)),
        ({"end": "100"}, range(20)),
        ({"start": "19f"}, range(19, 20)),
    ],
)
@pytest.mark.parametrize("first", [0, 40])
def test_what_is_wanted_comes_with_its_time_and_number_of_frames(
    tmp_path: Path, options: dict[str, Any], numbers: range, first: int
) -> None:
    source = make_clip(tmp_path / "in.mp4", 20, pts=range(first, first + 20))
    _, whole = read_source(source)
    info, frames = read_source(source, **options)
    assert info.num_frames == len(frames) == len(numbers)
    assert [frame.number for frame in frames] == list(range(len(numbers)))
    for frame, number in zip(frames, numbers, strict=True):
        assert frame.pts == whole[number].pts
        np.testing.assert_array_equal(frame.planes[0], whole[number].planes[0])


@pytest.mark.parametrize(("fps", "count"), [(50, 40), (25, 20), ("25/2", 10), (10, 8), (1, 1)])
def test_another_rate_has_its_own_ticks_and_as_many_frames_as_promised(
    tmp_path: Path, fps: Any, count: int
) -> None:
    info, frames = read_source(make_clip(tmp_path / "in.mp4", 20), fps=Fraction(fps))
    assert (info.rate, info.time_base) == (Fraction(fps), 1 / Fraction(fps))
    assert info.num_frames == len(frames) == count
    assert [frame.pts for frame in frames] == list(range(count))


def test_cut_and_rate_are_counted_together(tmp_path: Path) -> None:
    options = {"start": "4f", "end": "0.64", "fps": Fraction(50)}
    info, frames = read_source(make_clip(tmp_path / "in.mp4", 20), **options)
    assert info.num_frames == len(frames) == 24
    assert frames[0].pts == 8  # at the time that it has in the source


@pytest.mark.parametrize("options", [{"start": "20f"}, {"start": "0.8"}, {"start": "9:00:00"}])
def test_no_frames_are_reported(tmp_path: Path, options: dict[str, Any]) -> None:
    path = make_clip(tmp_path / "in.mp4", 20)
    expected = "between --start and --end, got none; it has about 20 frames, 0.80 s"
    with pytest.raises(VideoError, match=expected):
        read_source(path, **options)


def test_faults_are_known_at_the_end(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "in.mkv", 30, size=(48, 64)).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    with open_source(path, VideoOptions()) as source:
        frames = list(source.frames())
        assert len(frames) < 30
        assert "ends early" in source.damage[-1]


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Images 3.png to 12.png of 8x6 pixels; gives their folder."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3, 13):
        write_rgb8(folder / f"{number}.png", np.full((6, 8, 3), number, np.uint8))
    (folder / "notes.txt").touch()
    return folder


@pytest.mark.parametrize("fps", [None, Fraction(30000, 1001)])
def test_images_come_in_the_order_of_their_numbers_at_their_rate(
    numbered: Path, fps: Fraction | None
) -> None:
    rate = fps or USUAL_RATE
    info, frames = read_source(numbered / "%d.png", fps=fps)
    assert (info.rate, info.num_frames, info.layout.kind) == (rate, 10, "rgb")
    assert [int(frame.planes[0][0, 0]) for frame in frames] == list(range(3, 13))
    assert [frame.pts * info.time_base * rate for frame in frames] == list(range(10))
    info, frames = read_source(numbered, fps=fps)
    assert [int(frame.planes[0][0, 0]) for frame in frames] == list(range(3, 13))


def test_images_can_be_cut_too(numbered: Path) -> None:
    info, frames = read_source(numbered, start="2f", end="0.25")
    assert info.num_frames == len(frames) == 4
    assert [int(frame.planes[0][0, 0]) for frame in frames] == [5, 6, 7, 8]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"expected images as frames .* got none"):
        read_source(tmp_path)


@pytest.mark.parametrize("suffix", [".gif", ".WEBP"])
def test_animations_keep_their_times_or_get_a_rate(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in{suffix}"
    random = np.random.default_rng(0)
    pages = [Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=[100, 300, 200])
    info, frames = read_source(path)
    assert [frame.pts * info.time_base * 10 for frame in frames] == [0, 1, 4]
    assert [frame.duration * info.time_base * 10 for frame in frames] == [1, 3, 2]
    info, frames = read_source(path, fps=Fraction(10))
    assert info.num_frames == len(frames) == 6
    assert info.rate == 10


def test_a_file_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    assert len(read_source(make_clip(tmp_path / "50%discount.mp4", 3))[1]) == 3
