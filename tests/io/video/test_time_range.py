from fractions import Fraction
from pathlib import Path

import av
import pytest
from helpers.clips import make_clip
from helpers.streams import mux_clip, write_source

from sr.io.video.frame import Color
from sr.io.video.mux.streams import plan_streams
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.read.reader import open_video
from sr.io.video.time_range import TimeRange, set_clock_origin
from sr.io.video.verify import verify_video


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("clock", [36000, Fraction(2**33, 90000) - 1])
def test_a_broadcast_begins_at_0_whatever_its_clock_shows(
    tmp_path: Path, suffix: str, clock: Fraction
) -> None:
    whole, source = write_source(tmp_path / "whole.mp4", sounds=("aac",)), tmp_path / "in.ts"
    offset = {"output_ts_offset": str(float(clock))}
    with av.open(str(whole)) as old, av.open(str(source), "w", container_options=offset) as new:
        streams = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            packet.stream = streams[packet.stream_index]
            if packet.size:
                new.mux(packet)
    with open_video(source) as reader:
        info, frames = reader.info, list(reader.frames())
    times = [frame.pts for frame in frames]
    video = VideoTrack(
        info.time_base, Fraction(25), Fraction(1), Color(1, 1, 1, False), origin=times[0]
    )
    plan = plan_streams(source, video_stream=info.stream, suffix=suffix)
    shown = [time - times[0] for time in times]
    output = mux_clip(tmp_path, suffix, shown, source=source, plan=plan, video=video)
    faults = verify_video(
        output,
        video=video,
        source=source,
        plan=plan,
        num_frames=len(times),
        first=times[0] * info.time_base,
        last=times[-1] * info.time_base,
    )
    assert faults == []
    with av.open(str(output)) as container:
        starts = [float((s.start_time or 0) * (s.time_base or 0)) for s in container.streams]
    assert starts == pytest.approx([0, 0], abs=0.1)


def test_other_sources_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, 3, offset=50)
    with av.open(str(path)) as container:
        assert set_clock_origin(TimeRange(), container).shift == 0
