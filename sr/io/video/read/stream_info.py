"""What is known of a video stream with its first frame."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import av
from av.sidedata.sidedata import Type as Kind
from av.video.stream import VideoStream

from sr.io.video.filter_options import FilterOptions
from sr.io.video.frame import VideoError, VideoInfo
from sr.io.video.pixels.color import resolve_color
from sr.io.video.pixels.planes import detect_layout, is_transparent
from sr.io.video.read.decoder import has_hidden_alpha
from sr.io.video.read.frame_metadata import (
    is_copyable,
    list_spatial,
    parse_display_matrix,
    parse_mastering,
    read_frame_side_data,
)
from sr.io.video.read.probe import Probe

_CHROMA_IN_THE_MIDDLE = ("mjpeg", "mjpegb", "mpeg1video", "webp")


def make_info(
    name: str,
    stream: VideoStream,
    probe: Probe,
    frame: av.VideoFrame,
    side_data: Mapping[str, str],
    *,
    alpha: bool,
) -> VideoInfo:
    """Return what is known of a stream with its first frame; side_data: the container's."""
    codec = stream.codec_context
    pixels = frame.format
    try:
        layout = detect_layout(pixels, alpha=alpha)
        color, notes = resolve_color(
            frame.colorspace,
            frame.color_primaries,
            frame.color_trc,
            2 if pixels.name.startswith("yuvj") else frame.color_range,
            layout=layout,
            width=frame.width,
            height=frame.height,
            codec=codec.name,
        )
    except ValueError as error:
        raise VideoError(f"{name}: {error}") from error
    contents = read_frame_side_data(frame)
    mastering = parse_mastering(contents)
    spatial = list_spatial(contents, side_data)
    if Kind.CONTENT_LIGHT_LEVEL in contents and mastering is None:
        notes += ("the content's light level is left out, as the mastering display is unknown",)
    return VideoInfo(
        name=name,
        stream=stream.index,
        width=frame.width,
        height=frame.height,
        layout=layout,
        color=color,
        siting="center" if codec.name in _CHROMA_IN_THE_MIDDLE else "left",
        time_base=stream.time_base or 1 / probe.rate,
        rate=probe.rate,
        num_frames=probe.num_frames,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        display_matrix=parse_display_matrix(contents),
        mastering=mastering,
        notes=probe.notes + notes,
        codec=codec.codec.canonical_name,
        has_alpha=is_transparent(frame) or has_hidden_alpha(stream),
        spatial=spatial,
        is_spatial_copyable=is_copyable(spatial, side_data),
    )


def change_times(info: VideoInfo, filters: FilterOptions) -> VideoInfo:
    """Return what is known of a stream whose frames are filtered."""
    count = info.num_frames
    return replace(
        info,
        time_base=info.time_base / filters.ticks_per_tick,
        rate=info.rate * filters.rate_factor,
        num_frames=None if count is None else filters.count_frames(count),
    )
