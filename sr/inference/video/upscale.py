"""One video -> its upscaled video, in the order of the work."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from sr.device import name_precision
from sr.inference.events import Emit
from sr.inference.mask import Mask
from sr.inference.options import InferOptions
from sr.inference.video.image_sequence_writer import count_existing, write_image_sequence
from sr.inference.video.mux_segments import mux_segments
from sr.inference.video.pipeline import FrameSink, Pipeline
from sr.inference.video.plan import VideoPlan
from sr.inference.video.prefetcher import Prefetcher
from sr.inference.video.previews import write_previews
from sr.inference.video.resume import (
    Segment,
    SegmentManifest,
)
from sr.inference.video.segment_dependencies import list_dependencies
from sr.inference.video.segment_encoder import SegmentEncoder
from sr.inference.video.shared_segments import refuse_shared
from sr.inference.video.source import Source
from sr.inference.video_options import VideoOptions
from sr.io.video.frame import Frame, OutputMismatchError, VideoError
from sr.tiling.upscaler import Upscaler

_NUM_NAMED = 4  # kinds of damage in a message; the rest are counted


def upscale_video(
    plan: VideoPlan,
    options: InferOptions,
    upscalers: Sequence[Upscaler],
    emit: Emit,
    sink: FrameSink | None = None,
    *,
    mask: Mask | None = None,
) -> dict[str, Any]:
    """Read, upscale and write one video. Return the fields of its event.

    sink: is given all frames that are upscaled, as they are encoded. mask: that of the options.

    Whatever ends it early leaves the segments that are complete, for --resume. Raises VideoError,
    OutputMismatchError, ManifestError, ImageError of images, NumericError and MemoryError.
    The caller holds the lock of the result.
    """
    if options.video.preview:
        write_previews(plan, options, upscalers, emit, mask)
    started = time.perf_counter()
    with plan.open_source(options.video) as source, Prefetcher() as prefetcher:
        manifest, first = None, 0
        if plan.encoding is not None:
            if not options.output.resume:
                refuse_shared(plan.output)
            depends_on = list_dependencies(plan, options, upscalers, source)
            manifest = SegmentManifest.open(plan.output, depends_on, resume=options.output.resume)
            first = manifest.num_frames
            _warn_of_rejected(manifest, emit)
        elif options.output.keeps_existing:
            first = count_existing(plan)
        pipeline = Pipeline(
            prefetcher,
            report_found(source, plan, emit),
            plan,
            upscalers,
            first=first,
            temporal_filter=options.video.temporal_filter,
            alpha=options.output.alpha,
            sink=sink,
            mask=mask,
            grain=options.texture.grain,
        )
        if manifest is None:
            write_image_sequence(pipeline, plan, options.output, emit)
        else:
            _encode_and_mux(pipeline, manifest, plan, options.video, emit)
        warn_of_damage(source, plan, emit)
    seconds = time.perf_counter() - started
    return {
        "lr_size": (plan.info.width, plan.info.height),
        "sr_size": (plan.width, plan.height),
        "passes": plan.num_passes,
        "frames": pipeline.first + pipeline.num_frames,
        "resumed_at": pipeline.first,
        "repeated": pipeline.num_repeated,
        "fps": round(pipeline.num_frames / max(seconds, 1e-6), 3),
        "tiles": pipeline.network.num_tiles,
        "tile_size": min(upscaler.tile_size for upscaler in upscalers),
        "precision": name_precision(upscalers[0].dtype),
        "network_seconds": round(pipeline.network.seconds, 3),
    }


def report_found(source: Source, plan: VideoPlan, emit: Emit) -> Iterator[Frame]:
    """Yield the frames, and warn of what is lost from one of them on as soon as it comes."""
    num_seen = 0
    for frame in source.frames():
        for note in source.found[num_seen:]:
            num_seen += 1
            if note not in plan.found:
                emit("warning", message=f"{plan.source}: {note}")
        yield frame


def _encode_and_mux(
    pipeline: Pipeline,
    manifest: SegmentManifest,
    plan: VideoPlan,
    options: VideoOptions,
    emit: Emit,
) -> None:
    """Encode the segments that are missing, and mux all into the result."""
    try:
        SegmentEncoder(plan, manifest, emit, options.frames_per_segment).encode(pipeline)
        damage = pipeline.damage
        if damage is not None and not manifest.segments:
            raise damage
        late, early = options.start is not None, options.end is not None or damage is not None
        faults = mux_segments(
            plan,
            manifest.segments,
            manifest.paths,
            emit,
            whole=manifest.folder / f"whole{plan.output.suffix}",
            begins_late=late,
            ends_early=early,
        )
    except BaseException:
        if manifest.num_frames:
            emit(
                "warning",
                message=f"{manifest.num_frames} frames are kept in {manifest.folder}; the same "
                "command with --resume, and without --overwrite, continues after them",
            )
        else:
            manifest.remove()
        raise
    manifest.remove()
    if faults:
        raise OutputMismatchError(f"{plan.output}: is written, but {'; '.join(faults)}")
    if damage is not None:
        raise VideoError(f"{damage}; {plan.output} ends there, its sound too")


def _warn_of_rejected(manifest: SegmentManifest, emit: Emit) -> None:
    if manifest.num_rejected:
        damaged = manifest.folder / Segment(len(manifest.segments)).name
        emit(
            "warning",
            message=f"{damaged}: expected the segment that the manifest lists, got another or none;"
            f" computed again from there on ({manifest.num_rejected} segments)",
        )


def warn_of_damage(source: Source, plan: VideoPlan, emit: Emit) -> None:
    """Warn of the faults that were passed over; complete when the frames are at their end."""
    damage = source.damage
    if len(damage) > _NUM_NAMED:  # the last may be that the file is cut short
        more = f"{len(damage) - _NUM_NAMED} more"
        damage = [*damage[: _NUM_NAMED - 1], more, damage[-1]]
    if damage:
        emit("warning", message=f"{plan.source}: {'; '.join(damage)}")
