"""The segments of a video -> its result, muxed with the source's other streams and verified."""

from collections.abc import Sequence
from pathlib import Path

from sr.inference.events import Emit
from sr.inference.video.plan import VideoPlan
from sr.inference.video.resume import Segment
from sr.io.atomic_write import atomic_write
from sr.io.video.frame import VideoError
from sr.io.video.mux.mux import mux_video
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.time_range import TimeRange
from sr.io.video.verify import verify_video


def mux_segments(
    plan: VideoPlan,
    segments: Sequence[Segment],
    paths: Sequence[Path],
    emit: Emit,
    *,
    whole: Path,
    begins_late: bool,
    ends_early: bool,
) -> list[str]:
    """Mux the result, and return its faults.

    paths: of the segments. whole: where the result is made, in their folder, with which it is
    removed after a kill. begins_late, ends_early: the source's beginning or end is left out, of its
    other streams, too.
    """
    info = plan.info
    assert plan.encoding is not None
    first, last = segments[0], segments[-1]
    time_range = TimeRange(
        first.first * info.time_base if begins_late else None,
        last.end * info.time_base if ends_early else None,
    )
    track = VideoTrack(
        time_base=info.time_base,
        rate=info.rate,
        sample_aspect_ratio=info.sample_aspect_ratio,
        color=plan.encoding.color,
        display_matrix=info.display_matrix,
        stream=info.stream,
        origin=first.first,
        last_duration=last.end - last.last,
        keeps_spatial=plan.keeps_spatial,
    )
    original = plan.source if plan.source.is_file() else None
    with atomic_write(whole) as path:
        try:
            notes = mux_video(
                paths,
                path,
                video=track,
                source=original,
                plan=plan.streams,
                time_range=time_range,
            )
        except VideoError as error:
            raise VideoError(str(error).replace(str(path), str(plan.output))) from error
        faults = verify_video(
            path,
            video=track,
            source=original,
            plan=plan.streams,
            num_frames=sum(segment.frames for segment in segments),
            first=first.first * info.time_base - time_range.shift,
            last=last.last * info.time_base - time_range.shift,
            time_range=time_range,
        )
    whole.replace(plan.output)
    for note in notes:
        emit("warning", message=f"{plan.source}: {note}")
    return faults
