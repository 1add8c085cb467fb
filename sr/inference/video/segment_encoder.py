"""The enlarged frames of a video, encoded into parts."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from typing import Any

from sr.evaluation.video_scorer import ClipScorer, scored_results
from sr.inference.events import Emit
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.pipeline import Production
from sr.inference.video.progress import Progress
from sr.inference.video.resume import Journal, frames_a_part
from sr.inference.video.source import Source
from sr.inference.video.stages import as_levels
from sr.io.video.encode.segment_writer import SegmentWriter
from sr.io.video.frame import Frame, Planes, VideoError
from sr.io.video.pixels.yuv import Conversion
from sr.tiling.upscaler import Upscaler

NUM_LEVELS = 4  # frames that wait to be encoded
_COPIES = 2  # of the result on disk while it is put together: its parts and the file itself
_GIB = 2**30


class Encoder:
    """Writes the frames of one video into parts, from the first one that is missing on."""

    def __init__(self, work: VideoWork, source: Source, journal: Journal, emit: Emit) -> None:
        assert work.encoding is not None
        self._encoding = work.encoding
        self._work = work
        self._source = source
        self._journal = journal
        self._emit = emit
        self._progress = Progress(journal.num_frames, source.info.num_frames)
        self._disk_gib: float | None = None

    def write_all(
        self, making: VideoMaking, upscalers: Sequence[Upscaler], scorer: ClipScorer | None = None
    ) -> Production:
        """Make and write what is missing; scorer is given all that is made.

        Raises VideoError for a source that cannot be read on and a disk that cannot be written
        to, DamageError where damage leaves no frame, NumericError and MemoryError.
        """
        work, encoding = self._work, self._encoding
        first = self._journal.num_frames
        production = Production(self._source, work, making, upscalers, first=first)
        conversion = Conversion(encoding.layout, encoding.color, encoding.siting)
        pad = (encoding.height - work.size.height, encoding.width - work.size.width)
        with production.pipeline as pipeline:
            results = scored_results(production, scorer)
            levels = as_levels(results, conversion, encoding.layout, pad)
            frames = pipeline.ahead("levels", levels, NUM_LEVELS)
            num_frames = frames_a_part(encoding.height, encoding.width)
            while (frame := next(frames, None)) is not None:
                part = chain([frame], islice(frames, num_frames - 1))
                self._write_part(part, production)
                self._tell_room()
        if production.damage is not None and not self._journal.parts:
            raise production.damage
        return production

    def _write_part(self, frames: Iterator[tuple[Frame, Planes]], production: Production) -> None:
        info = self._work.info
        with self._journal.next_part() as (path, part), ExitStack() as stack:
            writer: SegmentWriter | None = None
            for frame, planes in frames:
                if writer is None:
                    part.first = frame.pts
                    opened = SegmentWriter(
                        path,
                        self._encoding,
                        time_base=info.time_base,
                        rate=info.rate,
                        sample_aspect_ratio=info.sample_aspect_ratio,
                        origin=self._journal.origin(part),
                    )
                    writer = stack.enter_context(opened)
                with _named(frame):
                    writer.write(planes, frame.pts, frame.duration)
                part.frames += 1
                part.last, part.end = frame.pts, frame.pts + frame.duration
                self._emit("progress", **self._told(production))

    def _told(self, production: Production) -> dict[str, Any]:
        told = self._progress.advance(production.pipeline.fills)
        if self._disk_gib is not None:
            told["disk_gib"] = self._disk_gib
        return told

    def _tell_room(self) -> None:
        """Reckon how much disk the whole will take, and warn where that is more than there is."""
        journal, num_frames = self._journal, self._source.info.num_frames
        if num_frames is None:
            return
        missing = num_frames / journal.num_frames - 1
        whole = journal.num_bytes * (1 + max(missing, 0))
        needed = _COPIES * whole - journal.num_bytes
        free = shutil.disk_usage(journal.folder).free
        if needed > free and self._disk_gib is None:
            self._emit(
                "warning",
                message=f"{journal.folder}: parts and result will take about "
                f"{needed / _GIB:.1f} GiB more; free: {free / _GIB:.1f} GiB. With more room, "
                "--resume goes on",
            )
        self._disk_gib = round(_COPIES * whole / _GIB, 3)


@contextmanager
def _named(frame: Frame) -> Iterator[None]:
    """Faults of writing name the frame by its number in the video, too."""
    try:
        yield
    except VideoError as error:
        raise VideoError(f"frame {frame.number}: {error}") from error
