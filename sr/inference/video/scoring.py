"""Videos that are scored against their originals: opened alike, compared as frames come."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from sr.evaluation.scores import RGB8, ScoreError, find_shared_size
from sr.evaluation.video_scorer import VideoScorer
from sr.inference.footage_options import FootageOptions
from sr.inference.video.plan import VideoPlan
from sr.inference.video.source import Source, open_source
from sr.inference.video_options import VideoOptions
from sr.io.rgb8 import tensor_to_rgb8
from sr.io.video.formats import is_frames_pattern
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors
from sr.losses.lpips import LPIPS


def check_original(
    original: Path, plan: VideoPlan, options: VideoOptions, *, with_lpips: bool
) -> list[str]:
    """Check by the headers that a video can be scored; return what remains doubtful, in words.

    Raises ScoreError where sizes do not fit, or numbers of images, and VideoError for what cannot
    be read.
    """
    with open_source(original, _adapt_options(original, plan, options)) as opened:
        info = opened.info
    size = (info.height, info.width)
    find_shared_size(
        (plan.height, plan.width), size, _choose_border(plan), name=original, with_lpips=with_lpips
    )
    expected, got = plan.info.num_frames, info.num_frames
    if expected == got or None in (expected, got):
        return []
    message = (
        f"expected an original of {expected} frames, as {plan.source} has, got {original} of {got}"
    )
    if _is_images(original) and _is_images(plan.source):
        raise ScoreError(message)
    return [f"{message}, according to their headers. If that is so, it will not be scored"]


@contextmanager
def open_scorer(
    original: Path, plan: VideoPlan, options: VideoOptions, lpips: LPIPS | None
) -> Iterator[VideoScorer]:
    """Open the scorer of one video. Raises VideoError for an original that cannot be read."""
    with open_source(original, _adapt_options(original, plan, options)) as opened:
        yield VideoScorer(
            _read_frames(opened), border=_choose_border(plan), name=original, lpips=lpips
        )


def _adapt_options(original: Path, plan: VideoPlan, options: VideoOptions) -> VideoOptions:
    """Return options by which an original is cut and re-timed as its source is."""
    fps = None if _is_images(plan.source) else options.fps
    if _is_images(original):
        fps = plan.info.rate  # so that times of --start and --end mean the same frames
    return replace(options, fps=fps, stream=None, damaged="stop", footage=FootageOptions())


def _is_images(path: Path) -> bool:
    """Return whether each frame is a file, so that the number of frames is known for certain."""
    return path.is_dir() or is_frames_pattern(path)


def _choose_border(plan: VideoPlan) -> int:
    return round(plan.height / plan.info.height)


def _read_frames(source: Source) -> Iterator[RGB8]:
    """Yield all frames, (H, W, 3), by the conversion that results' sources go through."""
    info = source.info
    conversion = Conversion(info.layout, info.color, info.siting)
    for frame in source.frames():
        planes = planes_to_tensors(frame.planes, torch.device("cpu"))
        yield tensor_to_rgb8(conversion.to_rgb(planes))
