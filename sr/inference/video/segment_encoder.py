"""The upscaled frames of a video, encoded into segments."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, islice

from av.video.frame import VideoFrame

from sr.inference.events import Emit
from sr.inference.video.pipeline import Pipeline
from sr.inference.video.plan import VideoPlan
from sr.inference.video.progress import Progress
from sr.inference.video.resume import SegmentManifest, choose_frames_per_segment
from sr.inference.video.segment_pass import SegmentPass
from sr.inference.video.stages import convert_to_planes
from sr.io.video.encode.codecs import CODECS
from sr.io.video.encode.segment_writer import SegmentWriter, make_frame
from sr.io.video.frame import Frame, VideoError
from sr.io.video.pixels.yuv import Conversion

NUM_LEVELS = 4  # frames that wait to be encoded
_COPIES = 2  # of the result on disk while it is muxed: its segments and the file itself
_GIB = 2**30


class SegmentEncoder:
    """Encodes the frames of one video into segments, from the first one that is missing on."""

    def __init__(
        self,
        plan: VideoPlan,
        manifest: SegmentManifest | SegmentPass,
        emit: Emit,
        frames_per_segment: int | None = None,
    ) -> None:
        """frames_per_segment: None for as many as suit their size."""
        assert plan.encoding is not None
        self._encoding = plan.encoding
        self._plan = plan
        self._manifest = manifest
        self._emit = emit
        self._frames_per_segment = frames_per_segment or choose_segment_length(plan)
        self._progress = Progress(manifest.num_frames, plan.info.num_frames)
        self._disk_gib: float | None = None

    def encode(self, pipeline: Pipeline) -> None:
        """Upscale and encode what is missing.

        Raises VideoError for a source that cannot be read on and a disk that cannot be written to,
        NumericError and MemoryError.
        """
        plan, encoding = self._plan, self._encoding
        conversion = Conversion(encoding.layout, encoding.color, encoding.siting)
        pad = (encoding.height - plan.height, encoding.width - plan.width)
        planes = convert_to_planes(pipeline.run(), conversion, encoding.layout, pad)
        levels = ((frame, make_frame(each, encoding)) for frame, each in planes)
        frames = pipeline.prefetcher.prefetch("levels", levels, NUM_LEVELS)
        while (frame := next(frames, None)) is not None:
            rest = islice(frames, self._frames_per_segment - 1)
            self._encode_segment(chain([frame], rest), pipeline)
            self._check_disk()

    def _encode_segment(
        self, frames: Iterator[tuple[Frame, VideoFrame]], pipeline: Pipeline
    ) -> None:
        info = self._plan.info
        with self._manifest.add_segment() as (path, segment), ExitStack() as stack:
            writer: SegmentWriter | None = None
            for frame, filled in frames:
                if writer is None:
                    segment.first = frame.pts
                    writer = stack.enter_context(
                        SegmentWriter(
                            path,
                            self._encoding,
                            time_base=info.time_base,
                            rate=info.rate,
                            sample_aspect_ratio=info.sample_aspect_ratio,
                            origin=self._manifest.find_origin(segment),
                        )
                    )
                with _name_frame(frame):
                    writer.write(filled, frame.pts, frame.duration)
                segment.frames += 1
                segment.last, segment.end = frame.pts, frame.pts + frame.duration
                fields = self._progress.advance(pipeline.prefetcher.fills)
                if self._disk_gib is not None:
                    fields["disk_gib"] = self._disk_gib
                self._emit("progress", **fields)

    def _check_disk(self) -> None:
        """Estimate how much disk the result will take, and warn where that is more than is free."""
        manifest, num_frames = self._manifest, self._plan.info.num_frames
        if num_frames is None:
            return
        missing = num_frames / manifest.num_frames - 1
        size = manifest.num_bytes * (1 + max(missing, 0))
        needed = _COPIES * size - manifest.num_bytes
        free = shutil.disk_usage(manifest.folder).free
        if needed > free and self._disk_gib is None:
            self._emit(
                "warning",
                message=f"{manifest.folder}: segments and result will take about "
                f"{needed / _GIB:.1f} GiB more; free: {free / _GIB:.1f} GiB. With more room, "
                "--resume continues",
            )
        self._disk_gib = round(_COPIES * size / _GIB, 3)


def choose_segment_length(plan: VideoPlan) -> int:
    """Return how many frames per segment suit their size and the encoder."""
    assert plan.encoding is not None
    on_gpu = CODECS[plan.encoding.encoder].on_gpu
    return choose_frames_per_segment(plan.encoding.height, plan.encoding.width, on_gpu=on_gpu)


@contextmanager
def _name_frame(frame: Frame) -> Iterator[None]:
    """Add the frame's number in the video to errors of writing."""
    try:
        yield
    except VideoError as error:
        raise VideoError(f"frame {frame.number}: {error}") from error
