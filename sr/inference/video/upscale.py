"""One video -> its upscaled video, told in the order of the work."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import av

from sr.device import precision_name
from sr.evaluation.video_scorer import ClipScorer
from sr.inference.events import Emit
from sr.inference.options import Job
from sr.inference.video.image_sequence import write_images
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.pipeline import Production
from sr.inference.video.previews import write_previews
from sr.inference.video.resume import Journal, identity_of, identity_of_frames
from sr.inference.video.segment_encoder import Encoder
from sr.inference.video.source import Source, open_source
from sr.io.atomic_write import atomic_write
from sr.io.video.frame import VideoError
from sr.io.video.mux.mux import mux_video
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.time_range import TimeRange
from sr.io.video.verify import verify_video
from sr.tiling.upscaler import Upscaler

_NUM_TOLD = 4  # kinds of damage named in a message; the rest are counted


class OutputMismatchError(VideoError):
    """A result that is written, but is not in time with its source, or lacks something of it."""


def do_video(
    job: Job,
    work: VideoWork,
    making: VideoMaking,
    upscalers: Sequence[Upscaler],
    emit: Emit,
    scorer: ClipScorer | None = None,
) -> dict[str, Any]:
    """Read, upscale and write one video. Returns what to tell of it.

    scorer: is given all frames that are made, as they come out of the network.

    Whatever ends it early leaves the parts that are whole, for `making.resume`. Raises VideoError,
    OutputMismatchError, ManifestError, ImageError of images, NumericError and MemoryError.
    """
    if making.num_previews:
        write_previews(job, work, making, upscalers, emit)
    started = time.perf_counter()
    with open_source(job.source, making) as source:
        if work.encoding is None:
            production = write_images(job, work, making, upscalers, source, emit, scorer)
        else:
            production = _write_video(job, work, making, upscalers, source, emit, scorer)
        _tell_damage(job, source, emit)
    return _told(work, production, upscalers, time.perf_counter() - started)


def _write_video(
    job: Job,
    work: VideoWork,
    making: VideoMaking,
    upscalers: Sequence[Upscaler],
    source: Source,
    emit: Emit,
    scorer: ClipScorer | None,
) -> Production:
    journal = _journal(job, work, making, upscalers, source)
    encoder = Encoder(work, source, journal, emit)
    try:
        production = encoder.write_all(making, upscalers, scorer)
        early = source.ends_early or production.damage is not None
        faults = _finish(job, work, journal, emit, late=source.begins_late, early=early)
    except BaseException:
        if journal.num_frames:
            kept = f"{journal.num_frames} frames are kept in {journal.folder}"
            how = "the same command with --resume, and without --overwrite"
            emit("warning", message=f"{kept}; {how}, goes on from there")
        else:
            journal.remove()
        raise
    journal.remove()
    if faults:
        raise OutputMismatchError(f"{job.output}: is written, but {'; '.join(faults)}")
    if production.damage is not None:
        raise VideoError(f"{production.damage}; {job.output} ends there, its sound too")
    return production


def _journal(
    job: Job, work: VideoWork, making: VideoMaking, upscalers: Sequence[Upscaler], source: Source
) -> Journal:
    encoding, images = work.encoding, source.images
    assert encoding is not None
    made_of = {
        "source": identity_of_frames(images) if images else identity_of(job.source),
        "model": dict(making.model),
        "size": f"{work.size.width}x{work.size.height}",
        "precision": precision_name(upscalers[0].dtype),
        "stream": work.info.stream,
        "start": str(making.start),
        "end": str(making.end),
        "fps": str(making.fps),
        "damaged": making.damaged,
        "temporal_filter": making.temporal_filter,
        "encoder": encoding.encoder,
        "encoder_options": encoding.options,
        "pix_fmt": encoding.layout.pix_fmt,
        "color": asdict(encoding.color),
        "av": av.__version__,
    }
    begin = Journal.resume if making.resume else Journal.begin
    return begin(job.output, made_of)


def _finish(
    job: Job, work: VideoWork, journal: Journal, emit: Emit, *, late: bool, early: bool
) -> list[str]:
    """Parts -> the result, which is then compared with what it was to be; returns its faults.

    late, early: the source's beginning or end is left out, of its other streams, too.
    """
    info = work.info
    assert work.encoding is not None
    first, last = journal.parts[0], journal.parts[-1]
    time_range = TimeRange(
        first.first * info.time_base if late else None, last.end * info.time_base if early else None
    )
    track = VideoTrack(
        time_base=info.time_base,
        rate=info.rate,
        sample_aspect_ratio=info.sample_aspect_ratio,
        color=work.encoding.color,
        display_matrix=info.display_matrix,
        stream=info.stream,
        origin=first.first,
        last_duration=last.end - last.last,
    )
    original = job.source if job.source.is_file() else None
    whole = journal.folder / f"whole{job.output.suffix}"  # what a kill leaves goes with the parts
    with atomic_write(whole) as path:
        try:
            notes = mux_video(
                journal.paths,
                path,
                video=track,
                source=original,
                plan=work.streams,
                time_range=time_range,
            )
        except VideoError as error:
            raise VideoError(str(error).replace(str(path), str(job.output))) from error
        faults = verify_video(
            path,
            video=track,
            source=original,
            plan=work.streams,
            num_frames=journal.num_frames,
            first=first.first * info.time_base - time_range.shift,
            last=last.last * info.time_base - time_range.shift,
            time_range=time_range,
        )
    whole.replace(job.output)
    for note in notes:
        emit("warning", message=f"{job.source}: {note}")
    return faults


def _tell_damage(job: Job, source: Source, emit: Emit) -> None:
    damage = source.damage
    if len(damage) > _NUM_TOLD:  # the last may tell that the file is cut short
        more = f"{len(damage) - _NUM_TOLD} more"
        damage = [*damage[: _NUM_TOLD - 1], more, damage[-1]]
    if damage:
        emit("warning", message=f"{job.source}: {'; '.join(damage)}")


def _told(
    work: VideoWork, production: Production, upscalers: Sequence[Upscaler], seconds: float
) -> dict[str, Any]:
    info, size, network = work.info, work.size, production.network
    return {
        "lr_size": (info.width, info.height),
        "sr_size": (size.width, size.height),
        "passes": size.num_passes,
        "frames": production.first + production.num_frames,
        "resumed_at": production.first,
        "repeated": production.num_repeated,
        "fps": round(production.num_frames / max(seconds, 1e-6), 3),
        "tiles": network.num_tiles,
        "tile_size": min(upscaler.tile_size for upscaler in upscalers),
        "precision": precision_name(upscalers[0].dtype),
        "network_seconds": round(network.seconds, 3),
    }
