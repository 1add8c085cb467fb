"""How videos are made, and what is to be done with one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from sr.inference.output_size import megapixels_read
from sr.inference.video.stages import Size
from sr.io.video.encode.encoder import Encoding
from sr.io.video.frame import VideoInfo
from sr.io.video.mux.streams import StreamPlan
from sr.io.video.read.decode_errors import Damaged
from sr.io.video.read.frame_rate import Moment


@dataclass(frozen=True)
class VideoMaking:
    """How results are made and written, the same for all videos of a run."""

    encoder: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `plan_encoding`: codec, crf, preset, pix_fmt, options."""
    stream: int | None = None
    """Which stream of a file; None for the default one, else the largest."""
    fps: Fraction | None = None
    """Constant frames a second; None for the source's times."""
    start: Moment | None = None
    """Where to begin; None for the first frame."""
    end: Moment | None = None
    """What is not wanted any more; None for the end of the source."""
    damaged: Damaged = "go-on"
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
