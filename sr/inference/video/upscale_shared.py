"""One video that several runs upscale together, each some of its segments; see `shared_segments`.

A run decodes the whole source, and drops what is of others' segments. Once all segments are
complete, one of the runs joins them as a single run does; the bytes are the same.
"""

import time
from collections.abc import Sequence
from typing import Any

from sr.device import name_precision
from sr.inference.events import Emit
from sr.inference.mask import Mask
from sr.inference.options import InferOptions
from sr.inference.video.mux_segments import mux_segments
from sr.inference.video.pipeline import Pipeline
from sr.inference.video.plan import VideoPlan
from sr.inference.video.prefetcher import Prefetcher
from sr.inference.video.previews import write_previews
from sr.inference.video.resume import ManifestError, locate_segments
from sr.inference.video.segment_dependencies import list_dependencies
from sr.inference.video.segment_encoder import SegmentEncoder, choose_segment_length
from sr.inference.video.segment_pass import SegmentPass
from sr.inference.video.shared_segments import End, SharedSegments
from sr.inference.video.upscale import report_found, warn_of_damage
from sr.io.leases import Leases
from sr.io.video.frame import OutputMismatchError, VideoError
from sr.tiling.upscaler import Upscaler

_MUX = "mux"  # name of a lease


class SharedVideo:
    """This run's part in one video."""

    def __init__(
        self,
        plan: VideoPlan,
        options: InferOptions,
        upscalers: Sequence[Upscaler],
        *,
        is_own: bool,
        mask: Mask | None,
    ) -> None:
        """is_own: this run makes the previews."""
        self.num_computed = 0
        """Frames that this run has upscaled."""
        self._plan = plan
        self._options = options
        self._upscalers = upscalers
        self._mask = mask
        self._folder = locate_segments(plan.output)
        self._segments: SharedSegments | None = None
        self._makes_previews = is_own and options.video.preview > 0
        self._end: End | None = None
        self._faults: list[str] = []
        self._num_found = 0  # frames that were complete when this run began
        self._counts = {"repeated": 0, "tiles": 0, "network_seconds": 0.0}
        self._seconds = 0.0

    def advance(self, emit: Emit) -> dict[str, Any] | None:
        """Do what nobody else does; return the fields of the event once the result is there.

        None: what is missing is in the hands of others, which may be gone the next time. Raises as
        `upscale_video`; for damage that ends the source early each run does.
        """
        if self._segments is None:
            if self._is_joined():
                return self._make_fields()
            self._segments = self._open(emit)
            if self._segments is None:
                return self._make_fields()
        try:
            is_done = self._advance(self._segments, emit)
        except BaseException as error:
            is_of_files = isinstance(error, OSError | VideoError)
            if is_of_files and not self._folder.is_dir():
                return self._make_fields() if self._leave(emit) else None
            self._report_kept(self._segments, emit)
            if isinstance(error, OSError):
                raise VideoError(f"{self._folder}: {error.strerror}") from error
            raise
        return self._make_fields() if is_done else None

    def _is_joined(self) -> bool:
        """Whether the result is there: of joined segments nothing is left."""
        return self._plan.output.exists() and not self._folder.is_dir()

    def _open(self, emit: Emit) -> SharedSegments | None:
        """Open the folder; None where another run has joined the segments a moment ago."""
        plan, options = self._plan, self._options
        if self._makes_previews:
            self._makes_previews = False
            write_previews(plan, options, self._upscalers, emit, self._mask)
        length = options.video.frames_per_segment or choose_segment_length(plan)
        depends_on = self._list_dependencies()
        was_there = self._folder.is_dir()
        segments = SharedSegments.open(plan.output, depends_on, length)
        if not was_there and plan.output.exists():
            segments.remove()
            return None
        self._num_found = segments.num_frames
        return segments

    def _list_dependencies(self) -> dict[str, Any]:
        with self._plan.open_source(self._options.video) as source:
            return list_dependencies(self._plan, self._options, self._upscalers, source)

    def _advance(self, segments: SharedSegments, emit: Emit) -> bool:
        """Return whether the result is there."""
        segments.refresh()
        with Leases(self._folder) as leases:
            self._end = segments.read_end()
            last = self._find_last(segments, leases)
            if self._end is None or last is not None:
                self._compute(segments, leases, last, emit)
                segments.refresh()
            assert self._end is not None
            if segments.list_missing(self._end) or not leases.claim(_MUX):
                return False
            for path in segments.reject_damaged():
                message = "expected the segment as it was written, got another; computed again"
                emit("warning", message=f"{path}: {message}")
            if segments.list_missing(self._end):
                return False
            if segments.num_frames != self._end.frames:
                raise self._make_length_error(self._end.frames, segments.num_frames)
            segments.check_unchanged(self._list_dependencies())  # since this run began
            self._join(segments, emit)
            return True

    def _find_last(self, segments: SharedSegments, leases: Leases) -> int | None:
        """Return the last frame that nobody computes, as far as the source's end is known."""
        if self._end is None:
            return None
        missing = segments.list_missing(self._end)
        free = [number for number in missing if not leases.is_live(f"segment-{number:05d}")]
        return (max(free) + 1) * segments.frames_per_segment - 1 if free else None

    def _compute(
        self, segments: SharedSegments, leases: Leases, last: int | None, emit: Emit
    ) -> None:
        """Decode the source, and upscale the segments that nobody else does."""
        plan, options = self._plan, self._options
        started = time.perf_counter()
        passing = SegmentPass(segments, leases)
        with plan.open_source(options.video) as source, Prefetcher() as prefetcher:
            pipeline = Pipeline(
                prefetcher,
                passing.watch(report_found(source, plan, emit)),
                plan,
                self._upscalers,
                is_wanted=passing.is_wanted,
                last=last,
                temporal_filter=options.video.temporal_filter,
                alpha=options.output.alpha,
                mask=self._mask,
                grain=options.texture.grain,
            )
            try:
                encoder = SegmentEncoder(plan, passing, emit, segments.frames_per_segment)
                encoder.encode(pipeline)
            finally:
                self.num_computed += pipeline.num_frames
                self._counts["repeated"] += pipeline.num_repeated
                self._counts["tiles"] += pipeline.network.num_tiles
                self._counts["network_seconds"] += pipeline.network.seconds
                self._seconds += time.perf_counter() - started
            if self._end is None:
                damage = None if pipeline.damage is None else str(pipeline.damage)
                self._end = End(passing.num_seen, damage)
                segments.write_end(self._end)
            elif passing.num_seen < (num_asked := min(self._end.frames, (last or 0) + 1)):
                raise self._make_length_error(num_asked, passing.num_seen)
            warn_of_damage(source, plan, emit)

    def _make_length_error(self, expected: int, got: int) -> VideoError:
        """Return what to report where a source does not end where another run saw it end."""
        return VideoError(
            f"{self._plan.source}: expected {expected} frames, as another run found, got {got}."
            " Add --overwrite, without --resume, to begin again"
        )

    def _join(self, segments: SharedSegments, emit: Emit) -> None:
        """Mux the result, and remove the segments."""
        plan, video, end = self._plan, self._options.video, self._end
        assert end is not None
        if segments.complete:
            self._faults = mux_segments(
                plan,
                segments.segments,
                segments.paths,
                emit,
                whole=self._folder / f"whole-{segments.token}{plan.output.suffix}",
                begins_late=video.start is not None,
                ends_early=video.end is not None or end.damage is not None,
            )
        segments.remove()

    def _leave(self, emit: Emit) -> bool:
        """Return whether another run has joined the segments; else begin again the next time."""
        self._segments = None
        if self._is_joined():
            emit("note", message=f"{self._plan.output}: joined by another run")
        return self._is_joined()

    def _make_fields(self) -> dict[str, Any]:
        """Return the fields of the event, or report damage as a single run does."""
        plan, end = self._plan, self._end
        if self._faults:
            raise OutputMismatchError(f"{plan.output}: is written, but {'; '.join(self._faults)}")
        if end is not None and end.damage is not None:
            ends = f"; {plan.output} ends there, its sound too" if end.frames else ""
            raise VideoError(f"{end.damage}{ends}")
        return {
            "lr_size": (plan.info.width, plan.info.height),
            "sr_size": (plan.width, plan.height),
            "passes": plan.num_passes,
            "frames": plan.info.num_frames if end is None else end.frames,
            "resumed_at": self._num_found,
            "computed": self.num_computed,
            "fps": round(self.num_computed / max(self._seconds, 1e-6), 3),
            "tile_size": min(upscaler.tile_size for upscaler in self._upscalers),
            "precision": name_precision(self._upscalers[0].dtype),
            **{name: round(count, 3) for name, count in self._counts.items()},
        }

    def _report_kept(self, segments: SharedSegments, emit: Emit) -> None:
        """Report the segments that are kept; remove the folder where nobody has any in it."""
        is_used = Leases(segments.folder).any_live()  # before the look at what others completed
        try:
            segments.refresh()
        except (ManifestError, OSError):  # of another run by now, or gone
            return
        if segments.complete:
            emit(
                "warning",
                message=f"{segments.num_frames} frames are kept in {segments.folder}; the same "
                "command with --resume, and without --overwrite, continues with the others",
            )
        elif not is_used:
            segments.remove()
