"""NIQE rises with what spoils an image, and the fits that it is made of find what was drawn."""

import math
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr.errors import UserError
from sr.io.rgb8 import image_to_tensor
from sr.metrics.niqe import (
    BLOCK_SIZE,
    Blocks,
    Pristine,
    count_blocks,
    fit_gaussians,
    fit_photographs,
    load_photographs,
    measure_blocks,
    niqe,
)

Image = NDArray[np.uint8]


@cache
def draw_leaves() -> Image:
    """Draw disks that hide each other, with 1/f texture: statistics like those of photographs."""
    height, width = 600, 800
    rng = np.random.default_rng(0)
    canvas = np.zeros((height, width))
    for _ in range(4000):
        radius = min(int(6 / (1 - rng.random()) ** 0.5), 120)
        center = int(rng.integers(0, width)), int(rng.integers(0, height))
        cv2.circle(canvas, center, radius, float(rng.uniform(30, 225)), -1)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    spectrum = np.fft.rfft2(rng.normal(0, 1, (height, width)))
    spectrum /= np.maximum(np.hypot(down, across), 1 / height)
    texture = np.fft.irfft2(spectrum, (height, width))
    blotches = np.abs(cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 40))
    canvas += 25 * texture / texture.std() * (0.3 + 20 * blotches)
    small = cv2.resize(canvas, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.repeat(small.clip(0, 255).round().astype(np.uint8)[:, :, None], 3, axis=2)


def blur(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def add_noise(image: Image, sigma: float) -> Image:
    noise = np.random.default_rng(1).normal(0, sigma, image.shape)
    return (image + noise).clip(0, 255).round().astype(np.uint8)


def compress(image: Image, quality: float) -> Image:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def score(image: Image) -> float:
    return niqe(image_to_tensor(image), border=0)


@pytest.mark.parametrize(
    ("spoil", "strengths"),
    [(blur, (1, 2, 4)), (add_noise, (10, 20, 40)), (compress, (20, 10, 5))],
)
def test_it_rises_with_blur_noise_and_jpeg(
    spoil: Callable[[Image, float], Image], strengths: tuple[float, ...]
) -> None:
    image = draw_leaves()
    scores = [score(image), *(score(spoil(image, strength)) for strength in strengths)]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 3


def test_it_is_that_of_luma() -> None:
    gray = draw_leaves().astype(np.float64)
    # Colors that leave 65.481 R + 128.553 G + 24.966 B as it is, but for rounding.
    tint = np.array([20.0, -20 * 65.481 / 128.553, 0])
    inside = gray.clip(25, 230).round()
    colored = (inside + tint).round().astype(np.uint8)
    assert score(colored) == pytest.approx(score(inside.astype(np.uint8)), rel=0.02)


def test_it_does_not_change_when_the_image_is_mirrored() -> None:
    image = draw_leaves()[:288, :384]
    # The first diagonal becomes the second; blocks stay.
    assert score(np.ascontiguousarray(image[:, ::-1])) == pytest.approx(score(image), rel=0.05)


def test_the_border_is_left_out() -> None:
    image = draw_leaves()
    framed = np.pad(image, ((7, 7), (7, 7), (0, 0)), constant_values=255)
    assert niqe(image_to_tensor(framed), border=7) == score(image)


@pytest.mark.parametrize(
    ("shape", "spreads"), [(0.8, (1.0, 1.0)), (2.0, (0.5, 2.0)), (3.0, (2, 1))]
)
def test_a_fit_finds_the_distribution_that_was_drawn(
    shape: float, spreads: tuple[float, float]
) -> None:
    rng = np.random.default_rng(0)
    # Of the absolute values to the power of the shape, a gamma distribution; the sides' masses are
    # as their spreads.
    lengths = rng.gamma(1 / shape, 1, 200_000) ** (1 / shape)
    is_left = rng.random(lengths.size) < spreads[0] / sum(spreads)
    samples = np.where(is_left, -spreads[0] * lengths, spreads[1] * lengths)
    found = [float(value[0]) for value in fit_gaussians(samples[None])]
    assert found == pytest.approx([shape, *spreads], rel=0.03)


def test_a_row_on_one_side_has_no_spread_on_the_other() -> None:
    shape, left, right = fit_gaussians(np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
    assert shape.tolist() == [0.2, 0.2]
    assert np.isnan(left).all()
    assert right[0] > 0
    assert np.isnan(right[1])


def test_the_image_that_it_compares_with_scores_zero() -> None:
    image = image_to_tensor(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    features = measure_blocks(image, border=0).features
    assert features.shape == (9, 36)
    own = Pristine(features.mean(axis=0), np.cov(features, rowvar=False))
    assert niqe(image, border=0, pristine=own) == pytest.approx(0, abs=1e-6)
    assert niqe(1 - image, border=0, pristine=own) == pytest.approx(0, abs=0.2)


def test_photographs_are_fitted_to_their_sharp_blocks() -> None:
    features = np.random.default_rng(0).normal(0, 1, (6, 36))
    features[2, 0] = math.nan  # of a flat block
    first = Blocks(features[:3], np.array([4.0, 2.9, 3.1]))
    second = Blocks(features[3:], np.array([0.7, 0.8, 1.0]))  # each photograph has its own sharpest
    kept = fit_photographs([first, second])
    assert kept.mean == pytest.approx(features[[0, 4, 5]].mean(axis=0))
    assert kept.covariance == pytest.approx(np.cov(features[[0, 4, 5]], rowvar=False))


def test_sharpness_is_the_mean_local_deviation() -> None:
    image = draw_leaves()[: 2 * BLOCK_SIZE, : 2 * BLOCK_SIZE].copy()
    image[:BLOCK_SIZE, :BLOCK_SIZE] = blur(image, 3)[:BLOCK_SIZE, :BLOCK_SIZE]
    image[BLOCK_SIZE:, BLOCK_SIZE:] = 90
    blurred, *sharp, flat = measure_blocks(image_to_tensor(image), border=0).sharpness
    assert flat < blurred < min(sharp)


def test_the_bundled_parameters_are_a_gaussian() -> None:
    pristine = load_photographs()
    assert pristine.mean.shape == (36,)
    assert np.linalg.eigvalsh(pristine.covariance).min() > 0


@pytest.mark.parametrize("size", [(95, 400), (191, 191), (10, 10)])
def test_images_of_less_than_two_blocks_are_refused(size: tuple[int, int]) -> None:
    assert count_blocks(size, border=0) < 2
    with pytest.raises(UserError, match=f"two blocks|2 blocks.*height {size[0]}, width {size[1]}"):
        niqe(torch.zeros(3, *size), border=0)


def test_a_flat_image_has_no_score() -> None:
    assert math.isnan(niqe(torch.full((1, 3, 200, 200), 0.5), border=0))
