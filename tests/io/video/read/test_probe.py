"""Rate and length are read from a header, exactly where possible."""

from fractions import Fraction
from pathlib import Path

import pytest
from helpers.clips import make_clip

from sr.io.video.read.container import choose_stream, open_container
from sr.io.video.read.probe import Probe, probe_stream


def probe(path: Path) -> Probe:
    with open_container(path) as container:
        return probe_stream(path, container, choose_stream(container, path, None))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.mov", "clip.ts"])
@pytest.mark.parametrize("offset", [0, 25])
def test_rate_and_number_of_frames_are_read(tmp_path: Path, name: str, offset: int) -> None:
    path = tmp_path / name
    make_clip(path, 21, codec="mpeg4", offset=0 if name.endswith("avi") else offset)
    probed = probe(path)
    assert probed.rate == 25
    assert probed.num_frames == 21
    assert probed.notes == ()


def test_an_index_counts_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, 20, options={"bf": "0"}, offset=-7)
    assert probe(path).num_frames == 13


def test_a_bare_stream_declares_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clip.h264"
    make_clip(path, 5)
    probed = probe(path)
    assert probed.rate == Fraction(25)
    assert (probed.num_frames, probed.is_cut_short) == (None, False)
    assert probed.notes == ("frame rate unknown, taken as 25 frames per second",)
