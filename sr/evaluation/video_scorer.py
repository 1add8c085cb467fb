"""Scores of a video's frames against the original's, as they come out of the network.

Both are rounded to 8 bits; losses by the encoder do not count. Frames are compared one by one,
the first with the first; of all that went before only the last is kept.
"""

from collections.abc import Iterable
from math import sqrt
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from sr.errors import UserError
from sr.evaluation.scores import (
    RGB8,
    Score,
    ScoreError,
    VideoScore,
    average_scores,
    find_shared_size,
    score_image,
)
from sr.io.rgb8 import image_to_tensor, tensor_to_rgb8
from sr.io.video.frame import VideoError
from sr.losses.lpips import LPIPS
from sr.metrics.flicker import find_visible, measure_pair_error
from sr.metrics.tof import measure_tof_flow, tof
from sr.motion.methods import DIS
from sr.motion.scene_cuts import measure_motion

METRICS = {
    "border": "as many pixels as the scale, left out of PSNR, SSIM, LPIPS and tOF",
    "y": "BT.601 luma of 8-bit RGB",
    "clips": "frames as they come out of the network, rounded to 8 bits, before encoding",
    "flicker": f"root of the warping error, 8-bit levels; flow of the original: {DIS.name}",
    "tof": "mean difference of flow, pixels; Farneback with the settings of Chu et al. 2020",
}
"""What the numbers are, to be written next to them."""


_Pair = tuple[float, float, float]
"""Of two consecutive frames: warping error of the result and of the original, with pixels in
[0, 1], and tOF."""


class VideoScorer:
    """Takes a video's results in order, and scores each as it comes.

    Whatever is wrong with the original does not stop the video: `score` raises it.
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
        self._fault: UserError | None = None

    def process(self, sr: Tensor) -> None:
        """Score the next frame: (1, 3, H, W), RGB, not clamped, on any device."""
        self._num_results += 1
        if self._fault is not None:
            return
        try:
            hr = next(self._originals, None)
            if hr is not None:
                self._compare(tensor_to_rgb8(sr), hr)
        except (ScoreError, VideoError) as error:
            self._fault = error

    def flush(self) -> None:
        """Check that the original ends with the last frame."""
        if self._fault is not None:
            return
        num_frames = len(self._scores)
        try:
            is_longer = next(self._originals, None) is not None
        except VideoError as error:
            self._fault = error
            return
        if is_longer or num_frames < self._num_results or not num_frames:
            more = " or more" if is_longer else ""
            self._fault = ScoreError(
                f"expected an original of {self._num_results} frames, as the result"
                f" has, got {self._name} of {num_frames + is_longer}{more}"
            )

    def score(self, leave_out: int = 0) -> VideoScore:
        """Return the score of all frames but `leave_out` of the first and of the last ones.

        To be called after `flush`. Raises ScoreError where the original could not be read, or has
        more frames or fewer.
        """
        if self._fault is not None:
            raise ScoreError(f"not scored: {self._fault}") from self._fault
        num_frames = len(self._scores)
        end = num_frames - leave_out
        if leave_out >= end:
            raise ScoreError(
                f"expected more than {2 * leave_out} frames, the first and last {leave_out} left"
                f" out, got {num_frames}"
            )
        pairs = [pair for pair in self._pairs[leave_out + 1 : end] if pair is not None]
        frames, mean = end - leave_out, average_scores(self._scores[leave_out:end])
        if not pairs:
            return VideoScore(frames, mean, 0, None, None, None)
        error, original_error, distance = (fmean(values) for values in zip(*pairs, strict=True))
        return VideoScore(
            frames=frames,
            mean=mean,
            pairs=len(pairs),
            flicker=255 * sqrt(error),
            original_flicker=255 * sqrt(original_error),
            tof=distance,
        )

    def _compare(self, sr: RGB8, hr: RGB8) -> None:
        height, width = find_shared_size(
            sr.shape[:2],
            hr.shape[:2],
            self._border,
            name=self._name,
            with_lpips=self._lpips is not None,
        )
        both = sr[:height, :width], hr[:height, :width]
        self._scores.append(score_image(*both, self._border, self._lpips))
        self._pairs.append(
            None if self._last is None else _compare_motion(self._last, both, self._border)
        )
        self._last = both


def _compare_motion(last: tuple[RGB8, RGB8], now: tuple[RGB8, RGB8], border: int) -> _Pair | None:
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
    return error(last_sr, sr), error(last_hr, hr), difference
