"""A few frames of a video, before and after, before the long work begins."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from sr.inference.events import Emit
from sr.inference.mask import Mask
from sr.inference.options import InferOptions
from sr.inference.video.pipeline import Pipeline
from sr.inference.video.plan import VideoPlan
from sr.inference.video.prefetcher import Prefetcher
from sr.io.rgb8 import tensor_to_rgb8, write_rgb8
from sr.tiling.upscaler import Upscaler

GAP = 4  # pixels between the two
_GRAY = 96  # of the gap, in 8-bit levels


def write_previews(
    plan: VideoPlan,
    options: InferOptions,
    upscalers: Sequence[Upscaler],
    emit: Emit,
    mask: Mask | None = None,
) -> None:
    """Write `--preview` images next to the result, of frames spread over the video.

    The video is decoded up to the last of them, or the end of its window; the temporal filter is
    left out. Where nobody knows how many frames there are, warn and write nothing.
    """
    if plan.info.num_frames is None:
        message = "no preview: the file does not state its number of frames"
        emit("warning", message=f"{plan.source}: {message}")
        return
    numbers = choose_preview_frames(plan.info.num_frames, options.video.preview)
    folder, stem = plan.output.parent, plan.output.stem.replace("%", "")
    with plan.open_source(options.video) as source, Prefetcher() as prefetcher:
        pipeline = Pipeline(
            prefetcher,
            source.frames(),
            plan,
            upscalers,
            only=numbers,
            mask=mask,
            grain=options.texture.grain,
        )
        for frame, lr, upscaled in pipeline.run_network():
            _, sr = pipeline.add_grain((frame, upscaled))
            seconds = float(frame.pts * plan.info.time_base)
            path = name_preview(folder, stem, frame.number, seconds)
            write_preview(path, lr[:, :3], sr[:, :3])
            emit("progress", preview=path)


def choose_preview_frames(num_frames: int, count: int) -> list[int]:
    """Return the frames to show, rising: the middle of each of `count` equal spans of the video.

    Numbers begin at 0. All frames if there are not more than `count`.
    Raises ValueError for a count below 1 or a video without frames.
    """
    if count < 1:
        raise ValueError(f"preview: expected 1 frame or more to show, got {count}")
    if num_frames < 1:
        raise ValueError(f"preview: expected a video of 1 frame or more, got {num_frames}")
    count = min(count, num_frames)
    return [(2 * index + 1) * num_frames // (2 * count) for index in range(count)]


def name_preview(folder: Path, name: str, number: int, seconds: float) -> Path:
    """Return where the preview of a frame goes: NAME_preview_00123_4.920s.png."""
    return folder / f"{name}_preview_{number:05d}_{seconds:.3f}s.png"


def write_preview(path: Path, lr: Tensor, sr: Tensor) -> None:
    """Write lr, enlarged by bicubic to the size of sr, and sr on its right, in 8 bits.

    path: ends in .png. lr: (1, 3, h, w), sr: (1, 3, H, W), RGB in [0, 1], on any device.
    Raises `ImageError` where the file cannot be written, or sr is not finite.
    """
    bicubic = functional.interpolate(
        lr.float(), size=tuple(sr.shape[2:]), mode="bicubic", align_corners=False
    )
    before, after = tensor_to_rgb8(bicubic), tensor_to_rgb8(sr)  # (H, W, 3)
    gap = np.full((len(after), GAP, 3), _GRAY, np.uint8)
    write_rgb8(path, np.concatenate([before, gap, after], axis=1))
