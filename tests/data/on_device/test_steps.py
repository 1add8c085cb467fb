"""The steps on a device against those image by image, at the same parameters."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr.data import degradations
from sr.data.degradations import Filter, FloatImage
from sr.data.kernels import Kernel, make_gaussian_kernel, make_sinc_kernel
from sr.data.on_device.jpeg import compress_jpeg
from sr.data.on_device.steps import (
    blur,
    draw_gaussian_noise,
    draw_poisson_noise,
    resize,
    round_to_8_bits,
)

SIDES = [40, 61, 1, 2, 17, 64, 33]
KERNELS: list[Kernel | None] = [
    make_gaussian_kernel(9, (2.0, 1.0), angle=0.5),
    make_sinc_kernel(21, 1.2),
    make_gaussian_kernel(7, (1.0, 1.0)),
    make_sinc_kernel(21, 1.0),  # reaches over an image of two pixels several times
    None,
    make_gaussian_kernel(21, (4.0, 1.0), angle=0.5),
    make_gaussian_kernel(3, (1.0, 1.0), plateau=True),
]


def make_images(sides: Sequence[int] = SIDES, seed: int = 0) -> list[FloatImage]:
    """Soft noise with some detail."""
    rng = np.random.default_rng(seed)
    kernel = make_gaussian_kernel(5, (1.0, 1.0))
    return [degradations.blur(rng.random((n, n, 3), dtype=np.float32), kernel) for n in sides]


def to_canvas(images: Sequence[FloatImage]) -> Tensor:
    """(B, 3, S, S), with a color that is not to be seen beyond the images."""
    side = max(map(len, images))
    canvas = torch.full((len(images), 3, side, side), 0.7)
    for place, image in zip(canvas, images, strict=True):
        place[:, : len(image), : len(image)] = torch.from_numpy(image).permute(2, 0, 1)
    return canvas


def to_images(canvas: Tensor, sides: Sequence[int]) -> list[FloatImage]:
    return [
        image[:, :side, :side].permute(1, 2, 0).numpy()
        for image, side in zip(canvas, sides, strict=True)
    ]


def test_each_image_is_blurred_by_its_kernel() -> None:
    images = make_images()
    blurred = to_images(blur(to_canvas(images), SIDES, KERNELS), SIDES)
    for ours, image, kernel in zip(blurred, images, KERNELS, strict=True):
        theirs = image if kernel is None else degradations.blur(image, kernel)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("kind", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [0.15, 1 / 3, 0.37, 0.5, 0.99, 1.0, 1.01, 1.5, 2.0, 3.3])
def test_each_image_is_resized_as_opencv_does(kind: Filter, factor: float) -> None:
    images = make_images()
    sides = [max(1, round(factor * side)) for side in SIDES]
    resized = resize(to_canvas(images), SIDES, sides, [kind] * len(sides))
    assert resized.shape[-1] == max(sides)
    for ours, image, side in zip(to_images(resized, sides), images, sides, strict=True):
        theirs = degradations.resize(image, (side, side), kind)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_filters_of_a_batch_may_differ() -> None:
    kinds: list[Filter] = ["area", "bilinear", "bicubic", "area", "bilinear", "bicubic", "area"]
    images = make_images()
    resized = to_images(resize(to_canvas(images), SIDES, [20] * 7, kinds), [20] * 7)
    for ours, image, kind in zip(resized, images, kinds, strict=True):
        theirs = degradations.resize(image, (20, 20), kind)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("quality", [5, 30, 75, 95, 100])
def test_jpeg_is_that_of_libjpeg_but_for_single_coefficients(quality: int) -> None:
    sides = [64, 61, 40, 33]
    images = make_images(sides)
    compressed = compress_jpeg(to_canvas(images), sides, [quality] * 4)
    for ours, image in zip(to_images(compressed, sides), images, strict=True):
        theirs = degradations.compress(image, "jpeg", quality)
        apart, lost = ((array**2).mean() for array in (ours - theirs, theirs - image))
        assert apart < lost / 10  # 10 dB below JPEG's own error; most are 20 or more
        assert abs((ours - theirs).mean()) < 0.25 / 255
        np.testing.assert_allclose(ours * 255, np.round(ours * 255), atol=1e-4)


def test_jpeg_of_a_flat_image_is_that_of_libjpeg_to_a_level() -> None:
    rng = np.random.default_rng(0)
    images = [np.full((n, n, 3), rng.random(3), np.float32) for n in (16, 8, 5, 1)]
    for quality in (1, 50, 90):
        compressed = compress_jpeg(to_canvas(images), [16, 8, 5, 1], [quality] * 4)
        for ours, image in zip(to_images(compressed, [16, 8, 5, 1]), images, strict=True):
            theirs = degradations.compress(image, "jpeg", quality)
            np.testing.assert_allclose(ours, theirs, atol=2.01 / 255)


def test_qualities_of_a_batch_may_differ() -> None:
    images = make_images([32, 32])
    both = compress_jpeg(to_canvas(images), [32, 32], [20, 90])
    for number, quality in enumerate((20, 90)):
        alone = compress_jpeg(to_canvas(images)[number : number + 1], [32], [quality])
        torch.testing.assert_close(both[number], alone[0], atol=1e-6, rtol=0)


def measure(noise: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation in 8-bit levels."""
    return float(noise.mean() * 255), float(noise.std() * 255)


@pytest.mark.parametrize("gray", [False, True])
def test_noise_has_the_mean_and_deviation_of_the_noise_image_by_image(gray: bool) -> None:
    side, generator = 150, torch.Generator().manual_seed(0)
    levels = np.array([80, 100, 120], np.float32)
    image = np.full((side, side, 3), levels / 255, np.float32)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    channels = 1 if gray else 3
    gaussian = draw_gaussian_noise((channels, side, side), 7.0, generator).numpy()
    poisson = draw_poisson_noise(tensor, 1.5, gray, generator).numpy()
    assert gaussian.shape == poisson.shape == (channels, side, side)
    luma = float(levels @ np.array([0.299, 0.587, 0.114]))
    rates = [luma] if gray else list(levels)
    theirs = (
        degradations.add_poisson_noise(image, 1.5, gray, np.random.default_rng(0)) - image
    ).transpose(2, 0, 1)
    tolerance = 5 / side  # standard errors of mean and deviation: sigma/n and less, n^2 pixels
    for channel, rate in enumerate(rates):
        mean, deviation = measure(gaussian[channel])
        assert abs(mean) < 7 * tolerance
        assert abs(deviation - 7) < 7 * tolerance
        sigma = 1.5 * rate**0.5
        for noise in (poisson, theirs):
            mean, deviation = measure(noise[channel])
            assert abs(mean) < sigma * tolerance
            assert abs(deviation - sigma) < sigma * tolerance


def test_rounding_takes_halves_up_and_clips() -> None:
    values = torch.tensor([-1.0, 0.5 / 255, 1.49 / 255, 2.0])
    torch.testing.assert_close(round_to_8_bits(values) * 255, torch.tensor([0.0, 1.0, 1.0, 255.0]))
