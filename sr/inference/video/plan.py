"""What one video needs, found out and checked before any of its frames is upscaled."""

from dataclasses import dataclass, replace
from pathlib import Path

from sr.inference.options import OutputOptions, VideoOptions
from sr.inference.output_size import TargetError, choose_size, count_megapixels, count_passes
from sr.inference.video.source import open_source
from sr.io.image_formats import check_writable, limit_depth
from sr.io.video.encode.encoder import Encoding, plan_encoding
from sr.io.video.formats import is_pattern
from sr.io.video.frame import VideoInfo
from sr.io.video.mux.streams import StreamPlan, plan_streams
from sr.io.video.pixels.color import HDR_TRANSFERS


@dataclass(frozen=True)
class VideoPlan:
    """What is to be done with one video."""

    source: Path
    output: Path
    info: VideoInfo
    """Of the frames that go through the network, after --start, --end and --fps."""
    height: int
    """Of the result, without the rows that an encoder may need."""
    width: int
    num_passes: int
    """How often the network runs over its own result."""
    encoding: Encoding | None
    """None where the result is an image sequence."""
    streams: StreamPlan
    """What becomes of the source's other streams."""
    depth: int
    """Bits per sample of the result."""
    scale: int
    """Of the network."""

    @property
    def megapixels(self) -> float:
        """What the network reads over all passes, as far as the number of frames is known."""
        pixels = self.info.height * self.info.width * (self.info.num_frames or 1)
        return count_megapixels(pixels, self.scale, self.num_passes)


def plan_video(
    source: Path,
    output: Path,
    options: VideoOptions,
    output_options: OutputOptions,
    scale: int,
    *,
    takes_clips: bool = False,
) -> tuple[VideoPlan, list[str]]:
    """Return what a video needs, and in words what will be guessed, converted or lost.

    takes_clips: the network takes several frames, so that it cannot run over its own results.
    Raises VideoError for a video that cannot be read, EncoderError for a result that cannot be
    written, ImageError for images that cannot, and TargetError for a size out of reach.
    """
    with open_source(source, options) as opened:
        info = opened.info
    height, width, passes = choose_coded_size(info, output_options, scale)
    if takes_clips and passes > 1:
        raise TargetError(
            f"a model that looks at several frames runs once: expected {scale} times the frames' "
            f"size at most, such as -s {scale}; got: {width}x{height} from "
            f"{info.width}x{info.height}"
        )
    suffix = output.suffix.lower()
    notes = list(info.notes)
    encoding, streams = None, StreamPlan()
    if is_pattern(output):
        bands = 1 if info.layout.kind == "gray" else 3
        check_writable(suffix, height=height, width=width, num_bands=bands, name=output)
        depth = limit_depth(suffix, 8 if info.layout.depth == 8 else 16, name=output)
        notes += _list_lost_in_images(info)
        if plan_streams(source, video_stream=info.stream, suffix=".mkv").passthrough:
            notes += ["sound and other streams are left out: images hold none"]
    else:
        encoding = plan_encoding(
            info,
            width=width,
            height=height,
            suffix=suffix,
            codec=options.codec,
            crf=options.crf,
            preset=options.preset,
            pix_fmt=options.pix_fmt,
            options=options.encoder_options,
        )
        depth = encoding.layout.depth
        streams = plan_streams(source, video_stream=info.stream, suffix=suffix)
        notes += [*encoding.notes, *streams.notes]
    plan = VideoPlan(source, output, info, height, width, passes, encoding, streams, depth, scale)
    return plan, notes


def choose_coded_size(info: VideoInfo, options: OutputOptions, scale: int) -> tuple[int, int, int]:
    """Return height and width of the result as it is coded, and the number of passes.

    Exact sizes are those that players show. Raises TargetError for a size out of reach.
    """
    if options.size is not None and info.is_turned:
        options = replace(options, size=options.size[::-1])
    height, width = choose_size(options, info.height, info.width, scale)
    return height, width, count_passes((info.height, info.width), (height, width), scale)


def _list_lost_in_images(info: VideoInfo) -> list[str]:
    notes = []
    if info.sample_aspect_ratio != 1:
        notes.append(
            f"pixels are {float(info.sample_aspect_ratio):.4g} times as wide as high, which the"
            " images do not store"
        )
    if info.color.transfer in HDR_TRANSFERS:
        notes.append("HDR's samples stay as they are in images, which have no HDR metadata")
    return notes
