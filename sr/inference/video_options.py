"""Options of `infer.py` on videos; see `sr.inference.options`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated

from sr.errors import UsageError
from sr.inference.flag import VIDEO, Flag
from sr.inference.footage_options import FootageOptions
from sr.inference.parse_flags import parse_damaged, parse_encoder_options, parse_rate
from sr.io.read_policy import Damaged
from sr.io.video.time_range import Moment, parse_moment


@dataclass(frozen=True)
class VideoOptions:
    """How videos are read, filtered and encoded."""

    codec: Annotated[str | None, Flag(VIDEO, "NAME", default="libx264; vp9 in .webm")] = None
    """Encoder: libx264, libx265, libsvtav1, vp9, ffv1 (lossless), prores; on NVIDIA GPUs with an
    encoder (A100, H100 and H200 have none) nvenc, which is hevc_nvenc, h264_nvenc, av1_nvenc. WebM
    supports VP9 and AV1 only."""
    crf: Annotated[
        float | None,
        Flag(VIDEO, "NUMBER", default="by encoder: 18 for libx264"),
    ] = None
    """Constant quality in the encoder's own unit: lower is better, and the file larger."""
    preset: Annotated[str | None, Flag(VIDEO, "NAME", default="by encoder: faster for libx264")] = (
        None
    )
    """Speed or compression, as the encoder names it: ultrafast to veryslow, or a number."""
    pix_fmt: Annotated[
        str | None, Flag(VIDEO, "NAME", default="the source's, if the encoder supports it")
    ] = None
    """Pixel format of the result, such as yuv420p or yuv420p10le."""
    encoder_options: Annotated[
        Mapping[str, str],
        Flag(VIDEO, "KEY=VALUE", ("--encoder-option",), parse=parse_encoder_options),
    ] = field(default_factory=dict)
    """Any other option of the encoder, as FFmpeg names it. Can be repeated."""
    stream: Annotated[
        int | None, Flag(VIDEO, "INDEX", default="the default stream, else the largest", min=0)
    ] = None
    """Index of the video stream to upscale; an invalid one lists them."""
    fps: Annotated[
        Fraction | None,
        Flag(VIDEO, "RATE", default="timestamps are kept; image sequences: 24", parse=parse_rate),
    ] = None
    """Constant frame rate, such as 25 or 30000/1001: frames are repeated or dropped, audio stays in
    sync. For an image sequence: its frame rate."""
    start: Annotated[Moment | None, Flag(VIDEO, "TIME", parse=parse_moment)] = None
    """Start at this time: seconds, [hh:]mm:ss, or a frame such as 120f."""
    end: Annotated[Moment | None, Flag(VIDEO, "TIME", parse=parse_moment)] = None
    """End before this time."""
    damaged: Annotated[
        Damaged | None,
        Flag(
            VIDEO,
            "continue|stop",
            default="continue for videos, stop for images",
            parse=parse_damaged,
        ),
    ] = None
    """Damaged source. continue: use the decoder's error concealment (in an image, what is missing
    stays empty), and report the damage; stop: a video's result ends there, its audio too, and
    counts as failed, an image has none."""
    temporal_filter: Annotated[bool, Flag(VIDEO)] = False
    """Reduce flicker: average the detail added by the network over neighboring frames along the
    motion, but not across scene cuts."""
    flow: Annotated[str, Flag(VIDEO, "auto|dis|farneback|raft|FILE")] = "auto"
    """Optical flow for multi-frame models. auto: the method that the model was trained with. raft:
    RAFT small, a network, with torchvision's weights (downloaded once); FILE: with the weights of
    this file."""
    preview: Annotated[int, Flag(VIDEO, "N", default="none", min=0)] = 0
    """First save N evenly spaced frames, before and after upscaling, as images next to the
    result."""
    footage: FootageOptions = field(default_factory=FootageOptions)
    """Of old films and recordings."""
    frames_per_segment: int | None = None
    """Of what --resume continues after; None for as many as suit their size."""

    def __post_init__(self) -> None:
        start, end = self.start, self.end
        if end is None:
            return
        is_empty = 0 in (end.seconds, end.frame)
        if start is not None and start.seconds is not None and end.seconds is not None:
            is_empty |= start.seconds >= end.seconds
        if start is not None and start.frame is not None and end.frame is not None:
            is_empty |= start.frame >= end.frame
        if is_empty:
            after = "the first frame" if start is None else _name_moment(start)
            raise UsageError(f"--end: expected a time after {after}, got {_name_moment(end)}")


def _name_moment(moment: Moment) -> str:
    if moment.frame is not None:
        return f"{moment.frame}f"
    assert moment.seconds is not None
    return f"{float(moment.seconds):g}"
