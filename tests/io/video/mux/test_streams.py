from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.streams import write_source

from sr.io.video.frame import VideoError
from sr.io.video.mux.streams import PassthroughStream, StreamPlan, plan_streams


def _fate(plan: StreamPlan) -> list[tuple[str, str | None]]:
    return [(stream.kind, stream.codec) for stream in plan.passthrough]


def test_matroska_takes_all_as_it_is(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mkv", subtitle="subrip", attached=True)
    plan = plan_streams(source, video_stream=0, suffix=".mkv")
    kinds = ["audio", "audio", "subtitle", "attachment", "image"]
    assert _fate(plan) == [(kind, None) for kind in kinds]
    assert plan.notes == ()


def test_what_mp4_cannot_hold_is_converted_or_left_out_by_name(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mkv", subtitle="subrip", attached=True)
    plan = plan_streams(source, video_stream=0, suffix=".mp4")
    assert _fate(plan) == [
        ("audio", None),
        ("audio", None),
        ("subtitle", "mov_text"),
        ("image", None),
    ]
    assert plan.notes == (
        "stream 3 (subtitle, subrip, fra): becomes MPEG-4 timed text, since MP4 cannot hold it",
        "stream 4 (attachment, a.ttf): left out, since MP4 cannot hold it",
    )


def test_what_webm_cannot_hold_is_converted_or_left_out(tmp_path: Path) -> None:
    source = write_source(
        tmp_path / "a.mkv", sounds=("aac", "libopus"), subtitle="ass", attached=True
    )
    plan = plan_streams(source, video_stream=0, suffix=".webm")
    assert _fate(plan) == [("audio", "libopus"), ("audio", None), ("subtitle", "webvtt")]
    left_out = [note for note in plan.notes if "left out" in note]
    assert [note.split()[1] for note in left_out] == ["4", "5"]


@pytest.mark.parametrize(
    ("codec", "copied_to"),
    [
        ("aac", {".mp4", ".mkv"}),
        ("ac3", {".mp4", ".mkv"}),
        ("flac", {".mp4", ".mkv"}),
        ("libmp3lame", {".mp4", ".mkv"}),
        ("libopus", {".mp4", ".mkv", ".webm"}),
        ("pcm_s16le", {".mkv"}),
        ("pcm_s24le", {".mkv"}),
        ("pcm_u8", {".mkv"}),
    ],
)
def test_sound_is_copied_where_the_container_takes_it(
    tmp_path: Path, codec: str, copied_to: set[str]
) -> None:
    source = write_source(tmp_path / "a.mkv", num_frames=3, sounds=(codec,))
    for suffix in (".mp4", ".mkv", ".webm"):
        plan = plan_streams(source, video_stream=0, suffix=suffix)
        assert (plan.passthrough[0].codec is None) == (suffix in copied_to)


def test_vorbis_is_not_put_into_mp4_where_few_could_play_it(shared_data: Path) -> None:
    source = shared_data / "video" / "clips" / "moviepy_bbb_432_433.webm"
    if not source.exists():
        pytest.skip("needs the clips in ../shared/data/video/clips")
    assert plan_streams(source, video_stream=0, suffix=".mp4").passthrough[0].codec == "aac"
    assert plan_streams(source, video_stream=0, suffix=".mkv").passthrough[0].codec is None


def test_another_video_stream_is_left_out_with_the_way_to_get_it(tmp_path: Path) -> None:
    source = tmp_path / "two.mkv"
    with av.open(str(source), "w") as container:
        outputs: list[Any] = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream in outputs:
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for stream in outputs:
            frame = av.VideoFrame.from_ndarray(np.zeros((36, 32), np.uint8), "yuv420p")
            container.mux([*stream.encode(frame), *stream.encode(None)])
    plan = plan_streams(source, video_stream=1, suffix=".mp4")
    note = "stream 0 (video, h264, 32x24): left out; --stream 0 upscales it instead"
    assert plan == StreamPlan((), (note,))


def test_the_chapters_track_of_mp4_is_no_stream(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mp4", sounds=("aac",), chapters=True)
    with av.open(str(source)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "data"]
    plan = plan_streams(source, video_stream=0, suffix=".mkv")
    assert plan == StreamPlan((PassthroughStream(1, "audio", None, "stream 1 (audio, aac, eng)"),))


def test_images_have_nothing_next_to_their_frames(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"never opened")
    for source in (tmp_path, tmp_path / "a.gif", tmp_path / "%05d.png"):
        assert plan_streams(source, video_stream=0, suffix=".mkv") == StreamPlan()


def test_a_suffix_of_no_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"'\.avi'"):
        plan_streams(tmp_path / "a.mp4", video_stream=0, suffix=".avi")


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"a\.mp4: expected a video"):
        plan_streams(tmp_path / "a.mp4", video_stream=0, suffix=".mkv")
