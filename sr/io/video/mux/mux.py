"""Mux the final file: the segments' video, and everything that the source has next to it."""

from __future__ import annotations  # Packet is generic in the stubs only

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from sr.io.video.formats import MUXERS
from sr.io.video.frame import VideoError
from sr.io.video.mux.metadata import (
    TIME_CODE,
    cut_chapters,
    filter_stream_tags,
    filter_tags,
    is_time_code_valid,
)
from sr.io.video.mux.passthrough import PassthroughPackets
from sr.io.video.mux.streams import StreamPlan, has_streams
from sr.io.video.mux.video_track import (
    SegmentPackets,
    VideoTrack,
    add_video_track,
    open_segment,
)
from sr.io.video.read.container import make_file_url, open_container
from sr.io.video.time_range import WHOLE, TimeRange, set_clock_origin

_MAX_REFUSED = 100
"""Calls of the muxer with a frame that may fail before muxing is given up."""
_FINEST = 1_000_000
"""Units per second, above which MP4's edit lists (which say when streams begin) are coarser."""


def mux_video(
    segments: Sequence[Path],
    output: Path,
    *,
    video: VideoTrack,
    source: Path | None,
    plan: StreamPlan,
    time_range: TimeRange = WHOLE,
) -> tuple[str, ...]:
    """Write `output` (by its suffix MP4, Matroska or WebM), and return notes on what was lost.

    The segments' time stamps are those of the source, from `video.origin` on. They and those of
    the planned streams are reduced by the time range's start (of broadcasts, by their clock's),
    and else stay as they were; Matroska, which has no negative times, moves all streams by the
    same time, and MP4 does not show what is before 0.

    Raises VideoError for segments that do not fit together and for an output that cannot be
    written.
    """
    muxer = MUXERS.get(output.suffix.lower())
    if muxer is None:
        raise VideoError(
            f"{output}: expected a name that ends in {', '.join(MUXERS)}, got {output.name}"
        )
    with ExitStack() as stack:
        original = None
        if source is not None and has_streams(source):
            original = stack.enter_context(open_container(source))
            time_range = set_clock_origin(time_range, original)
        frames = SegmentPackets(segments, video, time_range.shift)
        passthrough = None
        try:
            with _create_output(output, muxer, video) as result:
                stream = _add_video(result, segments[0], video, output, original)
                if source is not None and original is not None:
                    _copy_metadata(original, video, time_range, result)
                    passthrough = PassthroughPackets(source, original, plan, time_range, result)
                result.start_encoding()
                _mux_packets(result, frames.read_packets(stream), passthrough)
        except (OSError, av.FFmpegError) as error:
            raise VideoError(f"{output}: cannot be written: {error}") from error
    return () if passthrough is None else passthrough.notes


def _create_output(output: Path, muxer: str, video: VideoTrack) -> OutputContainer:
    options: dict[str, str] = {}
    if muxer == "mp4":
        # Only the tags that MP4 knows are kept. The way to keep all (use_metadata_tags) writes
        # them where hardly a player reads the title.
        options = {"movflags": "+faststart"}
        unit = video.time_base.denominator
        if unit <= _FINEST:  # else starts are rounded to milliseconds
            options["movie_timescale"] = str(unit * max(-(-1000 // unit), 1))
        if video.keeps_spatial:
            options["strict"] = "unofficial"  # as FFmpeg calls MP4's boxes of 360 degree video
    else:
        options = {"default_mode": "passthrough"}  # dispositions as the source's, none inferred
    return av.open(make_file_url(output), "w", format=muxer, container_options=options)


def _add_video(
    result: OutputContainer,
    segment: Path,
    video: VideoTrack,
    output: Path,
    original: InputContainer | None,
) -> VideoStream:
    source = None if original is None else original.streams[video.stream]
    assert source is None or isinstance(source, VideoStream)
    with open_segment(segment) as container:
        template = container.streams.video[0]
        try:
            return add_video_track(result, template, video, source)
        except ValueError as error:
            codec = template.codec_context.codec.canonical_name
            message = f"the container cannot hold {codec}; choose another suffix or --codec"
            raise VideoError(f"{output}: {message}") from error


def _copy_metadata(
    source: InputContainer, video: VideoTrack, time_range: TimeRange, result: OutputContainer
) -> None:
    """Copy tags, disposition and chapters; the video is the first and only stream of the result."""
    old, new = source.streams[video.stream], result.streams[0]
    begins_late = time_range.start is not None
    time_code = is_time_code_valid(old, video.rate, begins_late=begins_late)
    result.metadata.update(filter_tags(source.metadata, time_code=time_code))
    new.metadata.update(filter_stream_tags(old, time_code=time_code))
    for stream in source.streams.data if time_code else ():  # a track of MOV may be the only place
        if TIME_CODE in stream.metadata:
            new.metadata.setdefault(TIME_CODE, stream.metadata[TIME_CODE])
    new.disposition = old.disposition
    result.set_chapters(cut_chapters(source, time_range))


def _mux_packets(
    result: OutputContainer,
    frames: Iterator[Packet[VideoStream]],
    passthrough: PassthroughPackets | None,
) -> None:
    others = iter(()) if passthrough is None else passthrough.read_packets()
    num_refused = 0
    for packet, is_frame in _merge_by_time(frames, others):
        try:
            result.mux_one(packet)
        except av.FFmpegError as error:
            if not isinstance(error, ValueError):  # such as a full disk
                raise
            # What is refused may be an earlier packet of another stream, which waited for its turn.
            if not is_frame and passthrough is not None:
                passthrough.count_refused(packet)
            else:
                num_refused += 1
            if num_refused > _MAX_REFUSED:
                raise


def _merge_by_time(
    frames: Iterator[Packet[VideoStream]], others: Iterator[Packet[Stream]]
) -> Iterator[tuple[Packet[Any], bool]]:
    """Merge both, so that the muxer has little to keep; True marks frames."""
    frame, other = next(frames, None), next(others, None)
    while frame is not None or other is not None:
        if other is None or (
            frame is not None and _find_decode_time(frame) <= _find_decode_time(other)
        ):
            assert frame is not None
            yield frame, True
            frame = next(frames, None)
        else:
            yield other, False
            other = next(others, None)


def _find_decode_time(packet: Packet[Any]) -> Fraction:
    """Return seconds."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base
