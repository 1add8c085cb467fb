import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr.io.video.frame import Color
from sr.io.video.mux.matroska import write_pixel_shape
from sr.io.video.mux.mux import mux_video
from sr.io.video.mux.streams import plan_streams
from sr.io.video.mux.video_track import VideoTrack

WriteSource = Callable[..., Path]
WriteSegments = Callable[..., list[Path]]
UNIT = Fraction(1, 1000)
TIMES = [40 * number for number in range(50)]


def _joined(
    folder: Path,
    write_source: WriteSource,
    write_segments: WriteSegments,
    suffix: str,
    ratio: Fraction,
) -> Path:
    source = write_source(folder / "in.mkv", subtitle="subrip", attached=True, chapters=True)
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    parts = write_segments(folder, TIMES, time_base=UNIT, codec=codec)
    plan = plan_streams(source, video_stream=0, suffix=suffix)
    output = folder / f"out{suffix}"
    video = VideoTrack(UNIT, Fraction(25), ratio, Color(1, 1, 1, False))
    assert mux_video(parts, output, video=video, source=source, plan=plan) == ()
    return output


def _shape(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.streams.video[0].sample_aspect_ratio or 1)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
@pytest.mark.parametrize("ratio", [Fraction(16, 11), Fraction(8, 9), Fraction(100, 1)])
def test_the_shape_of_pixels_is_told_and_all_else_is_as_it_was(
    tmp_path: Path,
    write_source: WriteSource,
    write_segments: WriteSegments,
    suffix: str,
    ratio: Fraction,
) -> None:
    path = _joined(tmp_path, write_source, write_segments, suffix, Fraction(1))
    assert _shape(path) == 1
    before = path.read_bytes()
    assert write_pixel_shape(path, ratio)
    assert _shape(path) == pytest.approx(float(ratio), rel=0.02)
    after = path.read_bytes()
    assert len(after) == len(before)
    first_cluster = before.index(bytes.fromhex("1f43b675"))
    assert after[first_cluster:] == before[first_cluster:]
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 2
        assert len(container.chapters()) == 2
        container.seek(1_500_000)  # by the index at the end, which the index at the start tells
        packet = next(container.demux(video=0))
        assert packet.pts is not None
        assert packet.pts >= 700


def test_checksums_are_those_of_what_they_cover(
    tmp_path: Path, write_source: WriteSource, write_segments: WriteSegments
) -> None:
    path = _joined(tmp_path, write_source, write_segments, ".mkv", Fraction(4, 3))
    data = path.read_bytes()
    for identifier, length in (("114d9b74", 1), ("1654ae6b", 2)):
        start = data.index(bytes.fromhex(identifier), 60 if length == 2 else 0)
        while length == 2 and data[start + 6] != 0xBF:  # the index names it first
            start = data.index(bytes.fromhex(identifier), start + 1)
        content = start + 4 + length
        size = int.from_bytes(data[start + 4 : content], "big") & ((1 << 7 * length) - 1)
        assert data[content : content + 2] == b"\xbf\x84"
        told = int.from_bytes(data[content + 2 : content + 6], "little")
        assert told == zlib.crc32(data[content + 6 : content + size])


def test_a_shape_is_written_once(
    tmp_path: Path, write_source: WriteSource, write_segments: WriteSegments
) -> None:
    path = _joined(tmp_path, write_source, write_segments, ".mkv", Fraction(4, 3))
    before = path.read_bytes()
    assert not write_pixel_shape(path, Fraction(2))
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"no matroska", bytes(5000)])
def test_other_files_are_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(data)
    assert not write_pixel_shape(path, Fraction(2))
    assert path.read_bytes() == data
