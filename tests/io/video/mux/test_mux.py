from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.streams import mux_clip, read_stamps, write_segments, write_source

from sr.io.video.formats import keeps_aspect_ratio
from sr.io.video.frame import Color
from sr.io.video.mux.mux import mux_video
from sr.io.video.mux.streams import StreamPlan
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.time_range import TimeRange

UNIT = Fraction(1, 12800)
TIMES = [512 * number for number in range(50)]  # 25 frames a second
SUFFIXES = [".mp4", ".mkv", ".webm"]
TURNED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


VIDEO = VideoTrack(UNIT, Fraction(25), Fraction(1), Color(1, 1, 1, False))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "times",
    [
        TIMES,
        [18000 + time for time in TIMES],
        [0, 512, 700, 1900, 9000, 9512, 9513 + 20, *range(20000, 40000, 777)],
        [512],
    ],
    ids=["constant", "late start", "variable", "one frame"],
)
def test_each_frame_keeps_its_time(tmp_path: Path, suffix: str, times: list[int]) -> None:
    output = mux_clip(tmp_path, suffix, times)
    coarse = 0.0 if suffix == ".mp4" else 0.0011
    assert read_stamps(output) == pytest.approx([float(t * UNIT) for t in times], abs=coarse + 1e-9)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_frames_of_all_segments_decode_in_order(tmp_path: Path, suffix: str) -> None:
    output = mux_clip(tmp_path, suffix)
    with av.open(str(output)) as container:
        grays = [frame.to_ndarray()[:48].mean() for frame in container.decode(video=0)]
    assert grays == pytest.approx([number * 5 % 256 for number in range(50)], abs=8)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_are_decoded_in_time_and_one_after_the_other(tmp_path: Path, suffix: str) -> None:
    output = mux_clip(tmp_path, suffix)
    with av.open(str(output)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown = [packet.pts for packet in packets if packet.pts is not None]
    assert shown != sorted(shown)  # else there is nothing to see here
    stamps = [(one.dts, one.pts) for one in packets if one.dts is not None and one.pts is not None]
    assert all(one[0] < other[0] for one, other in pairwise(stamps))
    assert all(dts <= pts for dts, pts in stamps)


def test_frames_closer_than_a_millisecond_stay_apart_in_matroska(tmp_path: Path) -> None:
    output = mux_clip(tmp_path, ".mkv", [0, 512, 515, 518, 1024])
    stamps = read_stamps(output)
    assert len(set(stamps)) == 5
    assert stamps == pytest.approx([0, 0.04, 0.041, 0.042, 0.08], abs=0.0011)


def test_segments_whose_times_begin_at_an_origin(tmp_path: Path) -> None:
    output = mux_clip(tmp_path, ".mp4", video=replace(VIDEO, origin=1280))
    assert read_stamps(output)[0] == pytest.approx(0.1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tags_chapters_and_dispositions_are_taken_over(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mkv", subtitle="subrip", chapters=True)
    output = mux_clip(tmp_path, suffix, source=source)
    with av.open(str(output)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["title"], tags["comment"]) == ("A title", "A comment")
        assert tags["encoder"] != "old"
        found = [(float(c["start"] * c["time_base"]), c["metadata"]) for c in container.chapters()]  # type: ignore[operator]  # given in files
        assert found == [(0.0, {"title": "Chapter 0"}), (1.0, {"title": "Chapter 1"})]
        video, first, second = list(container.streams)[:3]
        titles = [one.metadata.get("title", one.metadata.get("name")) for one in (video, first)]
        assert titles == ["Main", "Sound 0"]
        assert [one.language for one in (video, first, second)] == ["jpn", "eng", "deu"]
        assert [int(one.disposition) for one in (first, second)] == [0, 1]
        assert int(container.streams.subtitles[0].disposition) == 1 | 64


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_attachments_and_cover_art_are_kept(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=(), attached=True)
    output = mux_clip(tmp_path, suffix, source=source)
    with av.open(str(source)) as old, av.open(str(output)) as new:
        images = []
        for container in (old, new):
            cover = container.streams.video[1]
            assert cover.disposition & av.stream.Disposition.attached_pic
            images.append(next(bytes(packet) for packet in container.demux(cover)))
        assert images[0] == images[1] != b""
        fonts = [(one.name, one.mimetype, one.data) for one in new.streams.attachments]
        expected = [("a.ttf", "application/x-truetype-font", b"a font")]
        assert fonts == (expected if suffix == ".mkv" else [])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("source_suffix", [".mp4", ".mkv"])
def test_copied_sound_is_byte_for_byte_the_sources(
    tmp_path: Path, source_suffix: str, suffix: str
) -> None:
    source = write_source(tmp_path / f"in{source_suffix}")
    output = mux_clip(tmp_path, suffix, source=source)
    sounds = []
    for path in (source, output):
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(audio=1) if packet.size]
            # What an edit list hides in MP4 has no place in Matroska.
            sounds.append([bytes(packet) for packet in packets if (packet.pts or 0) >= 0])
    assert sounds[0] == sounds[1]
    assert read_stamps(output)[0] == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_span_is_cut_out_of_everything(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("libopus",), chapters=True)
    times = TIMES[20:40]
    time_range = TimeRange(times[0] * UNIT, (times[-1] + 512) * UNIT)
    output = mux_clip(tmp_path, suffix, times, source=source, time_range=time_range)
    video, sound = read_stamps(output), read_stamps(output, "audio")
    assert video[0] == pytest.approx(0, abs=0.0201)
    assert sound[0] - video[0] == pytest.approx(0, abs=0.0211)
    assert sound[-1] - video[0] == pytest.approx(0.8, abs=0.0211)
    with av.open(str(output)) as container:
        chapters = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))  # type: ignore[operator]  # given in files
            for c in container.chapters()
        ]
    assert [time for chapter in chapters for time in chapter] == pytest.approx([0, 0.2, 0.2, 0.8])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("offset", [Fraction(1, 4), Fraction(7, 5)])
def test_sound_that_begins_later_stays_later(tmp_path: Path, suffix: str, offset: Fraction) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("libopus",), sound_offset=offset)
    output = mux_clip(tmp_path, suffix, source=source)
    assert read_stamps(output, "audio")[0] == pytest.approx(
        read_stamps(source, "audio")[0], abs=0.0011
    )


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".mkv", "libx264"),
        (".mp4", "libvpx-vp9"),
        (".mkv", "libvpx-vp9"),
        (".webm", "libvpx-vp9"),
        (".mkv", "ffv1"),
    ],
)
def test_color_shape_of_pixels_and_turn_reach_the_player(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    tags: dict[str, Any] = {"color_range": 2, "colorspace": 9, "color_primaries": 9}
    tags |= {"color_trc": 16, "sample_aspect_ratio": Fraction(4, 3)}
    segments = write_segments(tmp_path, TIMES[:5], time_base=UNIT, codec=codec, context=tags)
    output = tmp_path / f"out{suffix}"
    video = replace(
        VIDEO,
        color=Color(9, 9, 16, True),
        sample_aspect_ratio=Fraction(4, 3),
        display_matrix=TURNED,
    )
    mux_video(segments, output, video=video, source=None, plan=StreamPlan())
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        numbers = (context.colorspace, context.color_primaries, context.color_trc)
        assert (*numbers, context.color_range) == (9, 9, 16, 2)
        if keeps_aspect_ratio(context.codec.canonical_name, suffix):
            assert stream.sample_aspect_ratio == Fraction(4, 3)
        frame = next(container.decode(video=0))
        side_data: Any = frame.side_data  # its stub lacks this key
        matrix = np.frombuffer(side_data["DISPLAYMATRIX"], np.int32)
        assert matrix[:5].tolist() == [*TURNED[:5]]


def test_hevc_in_mp4_has_the_tag_that_apple_plays(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none", "preset": "ultrafast"}
    segments = write_segments(tmp_path, TIMES[:5], time_base=UNIT, codec="libx265", options=options)
    output = tmp_path / "out.mp4"
    mux_video(segments, output, video=VIDEO, source=None, plan=StreamPlan())
    with av.open(str(output)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_mp4_begins_with_its_index(tmp_path: Path) -> None:
    data = mux_clip(tmp_path, ".mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
