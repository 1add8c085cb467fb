"""Rotation and HDR's metadata are read from a decoded frame."""

from fractions import Fraction
from pathlib import Path

import pytest
from helpers.clips import make_clip

from sr.io.video.frame import Mastering
from sr.io.video.read.reader import open_video

P3_D65 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329))
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


def mastering(path: Path) -> Mastering | None:
    with open_video(path) as reader:
        return reader.info.mastering


def write_hdr(path: Path, extra: str) -> None:
    make_clip(
        path,
        2,
        size=(64, 64),
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": f"log-level=none:bframes=0:repeat-headers=1:hdr-opt=1{extra}"},
        context={"colorspace": 9, "color_primaries": 9, "color_trc": 16},
    )


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_hdr_metadata_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_hdr(path, f":master-display={DISPLAY}:max-cll=1000,400")
    found = mastering(path)
    assert found is not None
    for point, expected in zip(found.primaries, P3_D65, strict=True):
        assert point == pytest.approx(expected, abs=1e-5)
    assert (found.min_luminance, found.max_luminance) == pytest.approx((0.005, 1000))
    assert (found.max_content, found.max_average) == (1000, 400)


def test_brightness_of_the_content_may_be_unknown(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_hdr(path, f":master-display={DISPLAY}")
    found = mastering(path)
    assert found is not None
    assert (found.max_content, found.max_average) == (0, 0)


def test_a_light_level_alone_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_hdr(path, ":max-cll=1000,400")
    with open_video(path) as reader:
        assert reader.info.mastering is None
        assert any("light level is left out" in note for note in reader.info.notes)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv"])
@pytest.mark.parametrize(("across", "along"), [((0, 1), (-1, 0)), ((-1, 0), (0, -1))])
def test_turns_are_read(
    tmp_path: Path, name: str, across: tuple[int, int], along: tuple[int, int]
) -> None:
    path = tmp_path / name
    (a, b), (c, d) = across, along
    one = 1 << 16
    make_clip(path, 2, display_matrix=(a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30))
    with open_video(path) as reader:
        matrix = reader.info.display_matrix
        assert matrix is not None
        assert [round(Fraction(value, one)) for value in (*matrix[:2], *matrix[3:5])] == [
            *across,
            *along,
        ]
        assert reader.info.is_turned == (a == 0)


def test_upright_frames_have_no_matrix(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, 2)
    with open_video(path) as reader:
        assert reader.info.display_matrix is None
        assert reader.info.mastering is None
