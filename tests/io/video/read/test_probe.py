"""What a header tells of rate and length, exact where it can be."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from sr.io.video.frame import Planes
from sr.io.video.read.container import choose_stream, open_container
from sr.io.video.read.probe import Probe, probe_stream

WriteClip = Callable[..., list[Planes]]


def expected(path: Path) -> Probe:
    with open_container(path) as container:
        return probe_stream(path, container, choose_stream(container, path, None))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.mov", "clip.ts"])
@pytest.mark.parametrize("offset", [0, 25])
def test_rate_and_number_of_frames_are_told(
    tmp_path: Path, write_clip: WriteClip, name: str, offset: int
) -> None:
    path = tmp_path / name
    write_clip(path, 21, codec="mpeg4", offset=0 if name.endswith("avi") else offset)
    told = expected(path)
    assert told.rate == 25
    assert told.num_frames == 21
    assert told.notes == ()


def test_an_index_counts_what_is_shown(tmp_path: Path, write_clip: WriteClip) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, 20, options={"bf": "0"}, offset=-7)
    assert expected(path).num_frames == 13


def test_a_bare_stream_tells_nothing(tmp_path: Path, write_clip: WriteClip) -> None:
    path = tmp_path / "clip.h264"
    write_clip(path, 5)
    told = expected(path)
    assert told.rate == Fraction(25)
    assert (told.num_frames, told.is_cut_short) == (None, False)
    assert told.notes == ("frame rate unknown, taken as 25 frames per second",)
