"""Scores of a video's frames against the original's, as they come out of the network.

Both are rounded to 8 bits; what an encoder loses is not judged. Frames are compared one by one,
the first with the first; of all that went before only the last is kept.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from sr.evaluation.references import is_frames_pattern
from sr.evaluation.scores import (
    RGB8,
    ClipScore,
    Score,
    ScoreError,
    mean_score,
    score_of,
    shared_size,
)
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.pipeline import Production
from sr.inference.video.source import Source, open_source
from sr.io.rgb8 import image_to_tensor, tensor_to_rgb8
from sr.io.video.frame import Frame, VideoError
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors
from sr.losses.lpips import LPIPS
from sr.metrics.flicker import find_visible, measure_pair_error
from sr.metrics.tof import measure_tof_flow, tof
from sr.motion.methods import DIS
from sr.motion.scene_cuts import measure_motion

NUM_SCORED = 2  # frames that wait behind the scorer; large ones

METRICS = {
    "border": "as many pixels as the scale, left out of PSNR, SSIM, LPIPS and tOF",
    "y": "BT.601 luma of 8-bit RGB",
    "clips": "frames as they come out of the network, rounded to 8 bits, before encoding",
    "flicker": f"root of the warping error, 8-bit levels; flow of the original: {DIS.name}",
    "tof": "mean difference of flow, pixels; Farneback with the settings of Chu et al. 2020",
}
"""What the numbers are, to be written next to them."""


@dataclass(frozen=True)
class _Pair:
    """Of two consecutive frames; warping errors with pixels in [0, 1]."""

    error: float
    original_error: float
    tof: float


class ClipScorer:
    """Is given a video's results in order, and scores each as it comes.

    Whatever is wrong with the original does not keep the video from being made: `score` tells it.
    """

    def __init__(
        self, originals: Iterable[RGB8], *, border: int, name: Path, lpips: LPIPS | None = None
    ) -> None:
        """originals: (H, W, 3) each. border: pixels left out. name: of the original."""
        self._originals = iter(originals)
        self._border = border
        self._name = name
        self._lpips = lpips
        self._scores: list[Score] = []
        self._pairs: list[_Pair | None] = []  # of each frame with the one before
        self._last: tuple[RGB8, RGB8] | None = None
        self._num_results = 0
        self._fault: ValueError | None = None

    def scored(self, results: Iterable[tuple[Frame, Tensor]]) -> Iterator[tuple[Frame, Tensor]]:
        """`results`, each handed on when it is scored: (1, 3, H, W), RGB."""
        for frame, sr in results:
            self.add(sr)
            yield frame, sr

    def add(self, sr: Tensor) -> None:
        """Score the next frame: (1, 3, H, W), RGB, not clamped, on any device."""
        self._num_results += 1
        if self._fault is not None:
            return
        try:
            hr = next(self._originals, None)
            if hr is not None:
                self._add(tensor_to_rgb8(sr), hr)
        except (ScoreError, VideoError) as error:
            self._fault = error

    def score(self, leave_out: int = 0) -> ClipScore:
        """Of all frames but `leave_out` of the first and of the last ones.

        Raises ScoreError where the original could not be read, or has more frames or less.
        """
        if self._fault is not None:
            raise ScoreError(f"not scored: {self._fault}") from self._fault
        num_frames = len(self._scores)
        is_longer = next(self._originals, None) is not None
        if is_longer or num_frames < self._num_results or not num_frames:
            more = " or more" if is_longer else ""
            raise ScoreError(
                f"not scored: expected an original of {self._num_results} frames, as the result"
                f" has, got {self._name} of {num_frames + is_longer}{more}"
            )
        end = num_frames - leave_out
        if leave_out >= end:
            raise ScoreError(
                f"expected more than {2 * leave_out} frames, the first and last {leave_out} left"
                f" out, got {num_frames}"
            )
        pairs = [pair for pair in self._pairs[leave_out + 1 : end] if pair is not None]
        return ClipScore(
            frames=end - leave_out,
            mean=mean_score(self._scores[leave_out:end]),
            pairs=len(pairs),
            flicker=255 * sqrt(fmean(pair.error for pair in pairs)) if pairs else None,
            original_flicker=(
                255 * sqrt(fmean(pair.original_error for pair in pairs)) if pairs else None
            ),
            tof=fmean(pair.tof for pair in pairs) if pairs else None,
        )

    def _add(self, sr: RGB8, hr: RGB8) -> None:
        height, width = shared_size(
            sr.shape[:2],
            hr.shape[:2],
            self._border,
            name=self._name,
            with_lpips=self._lpips is not None,
        )
        both = sr[:height, :width], hr[:height, :width]
        self._scores.append(score_of(*both, self._border, self._lpips))
        self._pairs.append(None if self._last is None else _pair(self._last, both, self._border))
        self._last = both


def _pair(last: tuple[RGB8, RGB8], now: tuple[RGB8, RGB8], border: int) -> _Pair | None:
    """last, now: result and original. None where a scene ends between them."""
    (last_sr, last_hr), (sr, hr) = last, now
    motion = measure_motion(last_hr, hr, DIS())
    forward, backward = torch.from_numpy(motion.forward), torch.from_numpy(motion.backward)
    visible = find_visible(forward, backward)
    if motion.is_cut or not bool(visible.any()):
        return None

    def error(frame: RGB8, following: RGB8) -> float:
        return measure_pair_error(
            image_to_tensor(frame), image_to_tensor(following), forward, visible
        )

    difference = tof(measure_tof_flow(last_sr, sr), measure_tof_flow(last_hr, hr), border=border)
    return _Pair(error(last_sr, sr), error(last_hr, hr), difference)


@contextmanager
def opened_scorer(
    original: Path, source: Path, work: VideoWork, making: VideoMaking, lpips: LPIPS | None
) -> Iterator[ClipScorer]:
    """The scorer of one video. Raises VideoError for an original that cannot be read."""
    with open_source(original, _reading(original, source, work, making)) as opened:
        yield ClipScorer(_frames(opened), border=_border(work), name=original, lpips=lpips)


def check_original(
    original: Path, source: Path, work: VideoWork, making: VideoMaking, *, with_lpips: bool
) -> list[str]:
    """By the headers, whether a video can be scored; returns what remains doubtful, in words.

    Raises ScoreError where sizes do not fit, or numbers of images, and VideoError for what
    cannot be read.
    """
    with open_source(original, _reading(original, source, work, making)) as opened:
        info = opened.info
    sr, hr = (work.size.height, work.size.width), (info.height, info.width)
    shared_size(sr, hr, _border(work), name=original, with_lpips=with_lpips)
    expected, got = work.info.num_frames, info.num_frames
    if expected == got or None in (expected, got):
        return []
    told = f"expected an original of {expected} frames, as {source} has, got {original} of {got}"
    if _is_frames(original) and _is_frames(source):
        raise ScoreError(told)
    return [f"{told}, as far as their headers tell. If that is so, it will not be scored"]


def scored_results(
    production: Production, scorer: ClipScorer | None
) -> Iterator[tuple[Frame, Tensor]]:
    """The results of a production; if they are to be scored, by a further stage of it."""
    results = production.results()
    if scorer is None:
        return results
    return production.pipeline.ahead("score", scorer.scored(results), NUM_SCORED)


def _reading(original: Path, source: Path, work: VideoWork, making: VideoMaking) -> VideoMaking:
    """How to read an original: the same cut, and re-timed as the source is."""
    fps = None if _is_frames(source) else making.fps
    if _is_frames(original):
        fps = work.info.rate  # so that times of --start and --end mean the same frames
    return replace(making, fps=fps, stream=None, damaged="stop")


def _is_frames(path: Path) -> bool:
    """Images, whose number is known; a video's header may be wrong."""
    return path.is_dir() or is_frames_pattern(path)


def _border(work: VideoWork) -> int:
    return round(work.size.height / work.info.height)


def _frames(source: Source) -> Iterator[RGB8]:
    """All frames, (H, W, 3), by the conversion that results' sources go through."""
    info = source.info
    conversion = Conversion(info.layout, info.color, info.siting)
    for frame in source.frames():
        yield tensor_to_rgb8(
            conversion.to_rgb(planes_to_tensors(frame.planes, torch.device("cpu")))
        )
