"""The enlarged frames of a video, written as numbered images."""

from collections.abc import Sequence

import numpy as np

from sr.evaluation.video_scorer import ClipScorer, scored_results
from sr.inference.channels import Pixels, quantised
from sr.inference.events import Emit
from sr.inference.options import Job
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.pipeline import Production
from sr.inference.video.progress import Progress
from sr.inference.video.source import Source
from sr.io.image_writer import write_image
from sr.io.video.formats import format_frame_path
from sr.tiling.upscaler import Upscaler


def write_images(
    job: Job,
    work: VideoWork,
    making: VideoMaking,
    upscalers: Sequence[Upscaler],
    source: Source,
    emit: Emit,
    scorer: ClipScorer | None = None,
) -> Production:
    """Write each frame to its file, 0 the first, from the first one that is missing on if resumed.

    Each appears whole or not at all. scorer is given all that is made. Raises ImageError where one
    cannot be written, and DamageError behind the last frame before damage that is to stop.
    """
    dtype = np.dtype(np.uint8 if work.depth == 8 else np.uint16)
    gray = work.info.layout.kind == "gray"
    first = 0
    while making.resume and format_frame_path(job.output, first).exists():
        first += 1
    production = Production(source, work, making, upscalers, first=first)
    progress = Progress(first, source.info.num_frames)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    with production.pipeline as pipeline:
        for frame, sr in scored_results(production, scorer):
            bands = sr[0].mean(0, keepdim=True) if gray else sr[0]
            pixels = quantised(bands.clamp(0, 1), dtype)
            path = format_frame_path(job.output, frame.number)
            write_image(
                path,
                _as_shown(pixels, work.info.display_matrix),
                suffix=path.suffix,
                like=None,
                quality=making.quality,
                lossless=making.lossless,
            )
            emit("progress", **progress.advance(pipeline.fills))
    if production.damage is not None:
        raise production.damage
    return production


def _as_shown(pixels: Pixels, matrix: tuple[int, ...] | None) -> Pixels:
    """Turned and mirrored as players would, which images cannot be told; by quarter turns.

    pixels: (rows, columns, bands). matrix: `VideoInfo.display_matrix`; of [a b u; c d v; ...] a
    sample at (x, y) shows at (a x + c y, b x + d y).
    """
    if matrix is None:
        return pixels
    a, b, _, c, d = matrix[:5]
    if abs(a) < abs(b):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
