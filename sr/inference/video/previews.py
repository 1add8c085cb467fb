"""A few frames of a video, before and after, before the long work begins."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from sr.inference.events import Emit
from sr.inference.tasks import Task
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.pipeline import Production
from sr.inference.video.source import open_source
from sr.io.rgb8 import tensor_to_rgb8, write_rgb8
from sr.tiling.upscaler import Upscaler

_GAP = 4  # pixels between the two
_GRAY = 96  # of the gap, in 8-bit levels


def write_previews(
    job: Task, work: VideoWork, making: VideoMaking, upscalers: Sequence[Upscaler], emit: Emit
) -> None:
    """Write `making.num_previews` images next to the result, of frames spread over the video.

    The video is decoded up to the last of them, or the end of its window; the temporal filter is
    left out. Where nobody knows how many frames there are, that is told and nothing written.
    """
    if work.info.num_frames is None:
        message = "no preview: the file does not tell how many frames there are"
        emit("warning", message=f"{job.source}: {message}")
        return
    numbers = preview_numbers(work.info.num_frames, making.num_previews)
    folder, stem = job.output.parent, job.output.stem.replace("%", "")
    with open_source(job.source, making) as source:
        plain = replace(making, temporal_filter=False)
        production = Production(source, work, plain, upscalers, first=0, only=numbers)
        with production.pipeline:
            for each in production.enlarged():
                seconds = float(each.frame.pts * work.info.time_base)
                path = preview_path(folder, stem, each.frame.number, seconds)
                write_preview(path, each.lr, each.sr)
                emit("progress", preview=path)


def preview_numbers(num_frames: int, count: int) -> list[int]:
    """The frames to show, rising: the middle of each of `count` equal spans of the video.

    Numbers begin at 0. All frames if there are not more than `count`.
    Raises ValueError for a count below 1 or a video without frames.
    """
    if count < 1:
        raise ValueError(f"preview: expected 1 frame or more to show, got {count}")
    if num_frames < 1:
        raise ValueError(f"preview: expected a video of 1 frame or more, got {num_frames}")
    count = min(count, num_frames)
    return [(2 * index + 1) * num_frames // (2 * count) for index in range(count)]


def preview_path(folder: Path, name: str, number: int, seconds: float) -> Path:
    """Where the preview of a frame goes: NAME_preview_00123_4.920s.png."""
    return folder / f"{name}_preview_{number:05d}_{seconds:.3f}s.png"


def write_preview(path: Path, lr: Tensor, sr: Tensor) -> None:
    """Write lr, enlarged by bicubic to the size of sr, and sr on its right, in 8 bits.

    path: ends in .png. lr: (1, 3, h, w), sr: (1, 3, H, W), RGB in [0, 1], on any device.
    Raises `ImageError` where the file cannot be written, or sr is not finite.
    """
    enlarged = functional.interpolate(
        lr.float(), size=tuple(sr.shape[2:]), mode="bicubic", align_corners=False
    )
    before, after = tensor_to_rgb8(enlarged), tensor_to_rgb8(sr)  # (H, W, 3)
    gap = np.full((len(after), _GAP, 3), _GRAY, np.uint8)
    write_rgb8(path, np.concatenate([before, gap, after], axis=1))
