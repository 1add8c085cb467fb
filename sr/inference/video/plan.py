"""What one video needs, found out and checked before any of its frames is computed."""

from pathlib import Path

from sr.inference.options import Job
from sr.inference.output_size import Exact, Target, TargetError, num_passes
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.source import open_source
from sr.inference.video.stages import Size
from sr.io.image_formats import check_writable, limit_depth
from sr.io.video.encode.encoder import plan_encoding
from sr.io.video.formats import is_pattern
from sr.io.video.frame import VideoInfo
from sr.io.video.mux.streams import StreamPlan, plan_streams
from sr.io.video.pixels.color import HDR_TRANSFERS


def checked_video(
    job: Job, making: VideoMaking, target: Target, scale: int, *, single_pass: bool = False
) -> tuple[VideoWork, list[str]]:
    """What a job needs, and in words what will be guessed, converted or lost.

    single_pass: the network looks at several frames, so that it cannot run over its own results.
    Raises VideoError for a video that cannot be read, EncoderError for a result that cannot be
    written, ImageError for images that cannot, and TargetError for a size out of reach.
    """
    with open_source(job.source, making) as source:
        info = source.info
    size = size_of(info, target, scale)
    if single_pass and size.num_passes > 1:
        raise TargetError(
            f"a model that looks at several frames runs once: expected {scale} times the frames' "
            f"size at most, such as -s {scale}; wanted: {size.width}x{size.height} from "
            f"{info.width}x{info.height}"
        )
    notes = list(info.notes)
    if is_pattern(job.output):
        work = _as_images(job.output, info, size, scale)
        notes += _lost_in_images(info)
        if plan_streams(job.source, video_stream=info.stream, suffix=".mkv").passthrough:
            notes += ["sound and other streams are left out: images hold none"]
        return work, notes
    suffix = job.output.suffix.lower()
    encoding = plan_encoding(
        info, width=size.width, height=size.height, suffix=suffix, **making.encoder
    )
    streams = plan_streams(job.source, video_stream=info.stream, suffix=suffix)
    work = VideoWork(info, size, encoding, streams, encoding.layout.depth, scale)
    return work, [*notes, *encoding.notes, *streams.notes]


def size_of(info: VideoInfo, target: Target, scale: int) -> Size:
    """The size of the result as it is coded; exact sizes are those that players show.

    Raises TargetError for a size out of reach.
    """
    if isinstance(target, Exact) and info.turned:
        target = Exact(target.width, target.height)
    height, width = target.size(info.height, info.width, scale)
    passes = num_passes((info.height, info.width), (height, width), scale)
    return Size(height, width, passes)


def _as_images(pattern: Path, info: VideoInfo, size: Size, scale: int) -> VideoWork:
    suffix = pattern.suffix.lower()
    bands = 1 if info.layout.kind == "gray" else 3
    check_writable(suffix, height=size.height, width=size.width, num_bands=bands, name=pattern)
    depth = limit_depth(suffix, 8 if info.layout.depth == 8 else 16, name=pattern)
    return VideoWork(info, size, None, StreamPlan(), depth, scale)


def _lost_in_images(info: VideoInfo) -> list[str]:
    notes = []
    if info.sample_aspect_ratio != 1:
        notes.append(
            f"pixels are {float(info.sample_aspect_ratio):.4g} times as wide as high, which the"
            " images do not tell"
        )
    if info.color.transfer in HDR_TRANSFERS:
        notes.append("HDR's samples stay as they are in images, which do not tell that it is HDR")
    return notes
