"""What one video needs, found out and checked before any of its frames is upscaled."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from sr.inference.mask import Mask
from sr.inference.options import OutputOptions
from sr.inference.output_size import TargetError, choose_size, count_megapixels, count_passes
from sr.inference.video.source import Source, open_source
from sr.inference.video_options import VideoOptions
from sr.io.image_formats import check_writable, holds_alpha, limit_depth
from sr.io.read_policy import DEFAULT_MAX_PIXELS
from sr.io.video.encode.encoder import Encoding, plan_encoding
from sr.io.video.encode.pixel_format import warn_of_players
from sr.io.video.formats import is_pattern
from sr.io.video.frame import UNROTATED, VideoError, VideoInfo
from sr.io.video.mux.spatial import can_copy_spatial, choose_copying_encoder
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
    max_pixels: int
    """Of a frame of the source."""
    keeps_spatial: bool = False
    """What the source's container says of 360 degree and stereoscopic video is copied."""
    found: tuple[str, ...] = ()
    """What has been reported of frames behind the first."""

    def open_source(self, options: VideoOptions) -> AbstractContextManager[Source]:
        """Open the source, for frames as `info` says."""
        alpha = self.info.layout.alpha
        return open_source(self.source, options, alpha=alpha, max_pixels=self.max_pixels)

    def check_mask(self, mask: Mask) -> None:
        """Raise UserError for a mask that does not fit."""
        if self.info.display_matrix not in (None, UNROTATED):
            raise VideoError(
                f"--mask: expected a video that shows as it is stored, got {self.source}, which"
                " players rotate or mirror"
            )
        aspect = float(self.info.sample_aspect_ratio or 1)
        mask.check_aspect(self.info.height, self.info.width, aspect)

    @property
    def megapixels(self) -> float:
        """What the network reads over all passes, as far as the number of frames is known."""
        pixels = self.info.height * self.info.width * (self.info.num_frames or 1)
        return count_megapixels(pixels, self.scale, self.num_passes)


@dataclass(frozen=True)
class _Target:
    """How the result is written; the fields are those of `VideoPlan`."""

    depth: int
    keeps_alpha: bool
    notes: list[str]
    encoding: Encoding | None = None
    streams: StreamPlan = field(default_factory=StreamPlan)
    keeps_spatial: bool = False


def plan_video(
    source: Path,
    output: Path,
    options: VideoOptions,
    output_options: OutputOptions,
    scale: int,
    *,
    takes_clips: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> tuple[VideoPlan, list[str]]:
    """Return what a video needs, and in words what will be guessed, converted or lost.

    takes_clips: the network takes several frames, so that it cannot run over its own results, and
    leaves out transparency. max_pixels: of a frame; larger ones are refused by their header.
    Raises VideoError for a video that cannot be read, EncoderError for a result that cannot be
    written, ImageError for images that cannot, and TargetError for a size out of reach.
    """
    with open_source(source, options, max_pixels=max_pixels) as opened:
        info = opened.info
        found = opened.look_ahead()
    notes: list[str] = []
    ratio = info.sample_aspect_ratio
    if options.footage.square_pixels and ratio != 1:
        notes.append(f"pixels {float(ratio):.4g} times as wide as high become square")
    wants_alpha = info.has_alpha and output_options.alpha != "drop" and not takes_clips
    info = replace(info, layout=replace(info.layout, alpha=wants_alpha))
    height, width, passes = choose_coded_size(
        info, output_options, scale, square=options.footage.square_pixels
    )
    if options.footage.square_pixels:
        info = replace(info, sample_aspect_ratio=Fraction(1))
    if takes_clips and passes > 1:
        raise TargetError(
            f"a model that looks at several frames runs once: expected {scale} times the frames' "
            f"size at most, such as -s {scale}; got: {width}x{height} from "
            f"{info.width}x{info.height}"
        )
    suffix = output.suffix.lower()
    if is_pattern(output):
        target = _plan_images(source, output, info, (height, width))
    else:
        target = _plan_file(source, output, info, (height, width), options)
    notes = [*info.notes, *found, *notes, *target.notes]
    if info.has_alpha and not target.keeps_alpha and output_options.alpha != "drop":
        what = "transparency is left out" if info.codec else "transparency is put over black"
        notes.append(f"{what}: {_explain_lost_alpha(takes_clips, target.encoding, suffix)}")
    if info.spatial and not target.keeps_spatial:
        notes += _list_lost_spatial(info, is_video=target.encoding is not None)
    plan = VideoPlan(
        source=source,
        output=output,
        info=replace(info, layout=replace(info.layout, alpha=target.keeps_alpha)),
        height=height,
        width=width,
        num_passes=passes,
        encoding=target.encoding,
        streams=target.streams,
        depth=target.depth,
        scale=scale,
        max_pixels=max_pixels,
        keeps_spatial=target.keeps_spatial,
        found=tuple(found),
    )
    return plan, notes


def choose_coded_size(
    info: VideoInfo, options: OutputOptions, scale: int, *, square: bool = False
) -> tuple[int, int, int]:
    """Return height and width of the result as it is coded, and the number of passes.

    Exact sizes are those that players show. square: of pixels as wide as high. Raises TargetError
    for a size out of reach.
    """
    if options.size is not None and info.is_turned:
        options = replace(options, size=options.size[::-1])
    shown_width = round(info.width * info.sample_aspect_ratio) if square else info.width
    height, width = choose_size(options, info.height, shown_width, scale)
    return height, width, count_passes((info.height, info.width), (height, width), scale)


def _plan_images(source: Path, output: Path, info: VideoInfo, size: tuple[int, int]) -> _Target:
    """Plan an image sequence of (height, width) pixels."""
    suffix = output.suffix.lower()
    keeps_alpha = info.layout.alpha and holds_alpha(suffix)
    bands = (1 if info.layout.kind == "gray" else 3) + keeps_alpha
    check_writable(suffix, height=size[0], width=size[1], num_bands=bands, name=output)
    depth = limit_depth(suffix, 8 if info.layout.depth == 8 else 16, name=output)
    notes = _list_lost_in_images(info)
    if plan_streams(source, video_stream=info.stream, suffix=".mkv").passthrough:
        notes += ["sound and other streams are left out: images hold none"]
    return _Target(depth, keeps_alpha, notes)


def _plan_file(
    source: Path, output: Path, info: VideoInfo, size: tuple[int, int], options: VideoOptions
) -> _Target:
    """Plan a video file of (height, width) pixels."""
    suffix = output.suffix.lower()
    encoding = plan_encoding(
        info,
        height=size[0],
        width=size[1],
        suffix=suffix,
        codec=options.codec,
        crf=options.crf,
        preset=options.preset,
        pix_fmt=options.pix_fmt,
        options=options.encoder_options,
    )
    streams = plan_streams(
        source,
        video_stream=info.stream,
        suffix=suffix,
        rate=info.rate,
        begins_late=options.start is not None,
    )
    notes = [*encoding.notes, *streams.notes]
    if options.pix_fmt is None:
        notes += warn_of_players(encoding.encoder, encoding.layout)
    return _Target(
        encoding.layout.depth,
        encoding.layout.alpha,
        notes,
        encoding,
        streams,
        can_copy_spatial(info, encoding.encoder),
    )


def _explain_lost_alpha(takes_clips: bool, encoding: Encoding | None, suffix: str) -> str:
    if takes_clips:
        return "models of several frames have no place for it"
    if encoding is None:
        return f"{suffix} holds none, .png does"
    return (
        f"{encoding.encoder} has no place for it in {suffix}; --codec vp9, ffv1 or prores into .mkv"
        " keeps it, vp9 into .webm, and so do images, as by -o %05d.png"
    )


def _list_lost_spatial(info: VideoInfo, *, is_video: bool) -> list[str]:
    notes = [
        f"the tag of 360 degree or stereoscopic video ({tag}) is left out: players will show the"
        " result flat"
        for tag in info.spatial
    ]
    if is_video and (encoder := choose_copying_encoder(info)) is not None:
        notes[-1] += f"; --codec {encoder} keeps it"
    return notes


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
