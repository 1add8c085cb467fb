"""Frames of a scene whose motion is known."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sr.motion.methods import RGB8

Moved = Callable[..., RGB8]


@pytest.fixture
def moved() -> Moved:
    """moved(right, down, height=64, width=112, seed=0): a smooth scene, further right and down.

    right, down: in pixels, multiples of 1/4.
    """

    def frame(right: float, down: float, height: int = 64, width: int = 112, seed: int = 0) -> RGB8:
        noise = np.random.default_rng(seed).random((4 * height + 160, 4 * width + 160, 3))
        # Made four times as large, moved by whole pixels and made smaller again.
        scene = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 8)
        scene = cv2.normalize(scene, np.empty_like(scene), 0, 255, cv2.NORM_MINMAX)
        top, left = 80 - round(4 * down), 80 - round(4 * right)
        part = scene[top : top + 4 * height, left : left + 4 * width]
        return np.asarray(
            cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA).round(), np.uint8
        )

    return frame
