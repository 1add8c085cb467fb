"""How videos are made, and what is to be done with one of them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from sr.inference.load_upscaler import find_model
from sr.inference.options import InferOptions
from sr.inference.output_size import megapixels_read
from sr.inference.video.resume import identity_of
from sr.inference.video.stages import Size
from sr.io.model_file import ModelFileError
from sr.io.video.encode.encoder import EncoderChoice, Encoding
from sr.io.video.frame import VideoInfo
from sr.io.video.mux.streams import StreamPlan
from sr.io.video.read.decode_errors import Damaged
from sr.io.video.read.frame_rate import Moment
from sr.tiling.upscaler import Upscaler


@dataclass(frozen=True)
class VideoMaking:
    """How results are made and written, the same for all videos of a run."""

    encoder: EncoderChoice = field(default_factory=EncoderChoice)
    stream: int | None = None
    """Which stream of a file; None for the default one, else the largest."""
    fps: Fraction | None = None
    """Constant frames a second; None for the source's times."""
    start: Moment | None = None
    """Where to begin; None for the first frame."""
    end: Moment | None = None
    """What is not wanted any more; None for the end of the source."""
    damaged: Damaged = "continue"
    """What is done about damage in the source."""
    temporal_filter: bool = False
    num_previews: int = 0
    """Images, before and after, that are written first."""
    quality: int = 95
    """Of frames as images in lossy formats, 1 to 100."""
    lossless: bool = False
    """Frames as WebP and AVIF without loss."""
    resume: bool = False
    """Go on with the parts of an earlier run."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """What tells whether it is the model of the earlier run."""


@dataclass(frozen=True)
class VideoWork:
    """What is to be done with one video; known before any of it is."""

    info: VideoInfo
    """Of the frames that go through the network: cut and re-timed."""
    size: Size
    encoding: Encoding | None
    """None where the result is a series of images."""
    streams: StreamPlan
    """What becomes of the source's other streams."""
    depth: int
    """Bits a sample of the result."""
    scale: int
    """Of the network."""

    @property
    def megapixels(self) -> float:
        """That the network reads, over all passes, as far as the number of frames is known."""
        pixels = self.info.height * self.info.width * (self.info.num_frames or 1)
        return megapixels_read(pixels, self.scale, self.size.num_passes)


def making_of(options: InferOptions, upscaler: Upscaler) -> VideoMaking:
    """What of the options videos need."""
    video, output = options.video, options.output
    model: dict[str, Any] = {"tta": options.runtime.tta, "backend": options.runtime.backend}
    if upscaler.flow is not None:
        model["flow"] = upscaler.flow.name
    with suppress(OSError, ModelFileError):
        model = {**identity_of(find_model(options)), **model}
    return VideoMaking(
        encoder=EncoderChoice(
            codec=video.codec,
            crf=video.crf,
            preset=video.preset,
            pix_fmt=video.pix_fmt,
            options=video.encoder_options,
        ),
        stream=video.stream,
        fps=video.fps,
        start=video.start,
        end=video.end,
        damaged=video.damaged,
        temporal_filter=video.temporal_filter,
        num_previews=video.preview,
        quality=output.quality,
        lossless=output.lossless,
        resume=output.keeps_existing,
        model=model,
    )
