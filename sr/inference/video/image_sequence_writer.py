"""The upscaled frames of a video, written as numbered images."""

import numpy as np
import torch

from sr.inference.channels import Pixels, quantize
from sr.inference.events import Emit
from sr.inference.options import OutputOptions
from sr.inference.video.pipeline import Pipeline
from sr.inference.video.plan import VideoPlan
from sr.inference.video.progress import Progress
from sr.io.image_writer import write_image
from sr.io.video.formats import format_frame_path


def write_image_sequence(
    pipeline: Pipeline, plan: VideoPlan, options: OutputOptions, emit: Emit
) -> None:
    """Write each frame that the pipeline yields to its file; each appears whole or not at all.

    Raises ImageError where one cannot be written, and DamageError where damage ended the source.
    """
    dtype = np.dtype(np.uint8 if plan.depth == 8 else np.uint16)
    gray = plan.info.layout.kind == "gray"
    progress = Progress(pipeline.first, plan.info.num_frames)
    plan.output.parent.mkdir(parents=True, exist_ok=True)
    for frame, sr in pipeline.run():
        bands = torch.cat([sr[0, :3].mean(0, keepdim=True), sr[0, 3:]]) if gray else sr[0]
        pixels = quantize(bands.clamp(0, 1), dtype)
        path = format_frame_path(plan.output, frame.number)
        write_image(
            path,
            _turn_upright(pixels, plan.info.display_matrix),
            suffix=path.suffix,
            like=None,
            quality=options.quality,
            lossless=options.lossless,
        )
        emit("progress", **progress.advance(pipeline.prefetcher.fills))
    if pipeline.damage is not None:
        raise pipeline.damage


def count_existing(plan: VideoPlan) -> int:
    """Count the files of the image sequence that exist, up to the first that is missing."""
    count = 0
    while format_frame_path(plan.output, count).exists():
        count += 1
    return count


def _turn_upright(pixels: Pixels, matrix: tuple[int, ...] | None) -> Pixels:
    """Turn and mirror as players would, which images do not store; by quarter turns.

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
