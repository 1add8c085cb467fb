from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from skimage.io import imread

from sr.data.imresize import imresize

FACTORS = [Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(3, 2), 2, 4]
Image = npt.NDArray[np.uint8]


def random_image(*shape: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def cubic(t: Fraction) -> Fraction:
    t = abs(t)
    if t <= 1:
        return Fraction(3, 2) * t**3 - Fraction(5, 2) * t**2 + 1
    return -(t**3) / 2 + Fraction(5, 2) * t**2 - 4 * t + 2 if t < 2 else Fraction(0)


def slow_rows(image: Image, factor: Fraction) -> Image:
    """The definition, one output value at a time, in fractions."""
    stretch = min(factor, Fraction(1))
    length = len(image)
    output = np.empty((ceil(length * factor), image.shape[1]), np.uint8)
    for row in range(len(output)):
        center = (row + Fraction(1, 2)) / factor - Fraction(1, 2)
        reach = 2 / stretch
        taps = range(floor(center - reach), ceil(center + reach) + 1)
        weights = [cubic(stretch * (center - tap)) for tap in taps]
        mirrored = [tap % (2 * length) for tap in taps]
        mirrored = [min(tap, 2 * length - 1 - tap) for tap in mirrored]
        for column in range(image.shape[1]):
            pairs = zip(weights, mirrored, strict=True)
            value = sum(w * int(image[tap, column]) for w, tap in pairs) / sum(weights)
            output[row, column] = min(max(floor(value + Fraction(1, 2)), 0), 255)
    return output


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_pixel_of_matlabs_set5_is_reproduced(shared_data: Path, scale: int) -> None:
    folder = shared_data / "benchmarks" / "Set5_matlab"
    paths = sorted((folder / "HR").glob("*.bmp"))
    assert len(paths) == 5
    for path in paths:
        hr = imread(path)
        height, width = (size // scale * scale for size in hr.shape[:2])
        expected = imread(folder / f"x{scale}" / f"{path.stem}x{scale}.bmp")
        lr = imresize(hr[:height, :width], Fraction(1, scale))
        np.testing.assert_array_equal(lr, expected, err_msg=path.name)


@pytest.mark.parametrize("factor", FACTORS)
def test_the_result_equals_the_definition_height_first(factor: Fraction | int) -> None:
    image = random_image(13, 10)
    exact = Fraction(factor)
    expected = slow_rows(slow_rows(image, exact).T, exact).T
    np.testing.assert_array_equal(imresize(image, factor), expected)


# The weights at 1/2 are (-3, -9, 29, 111, 111, 29, -9, -3) / 256. A bump of 128 on a ground of 100
# adds half of them: every value lies between two gray levels and is rounded upwards.
@pytest.mark.parametrize(
    ("bump", "expected"),
    [(7, [100, 100, 96, 156, 115, 99, 100, 100]), (0, [170, 94, 100, 100, 100, 100, 100, 100])],
)
def test_a_bump_halved_by_hand(bump: int, expected: list[int]) -> None:
    image = np.full((6, 16), 100, np.uint8)
    image[:, bump] += 128
    assert imresize(image, Fraction(1, 2)).tolist() == [expected] * 3
    assert imresize(image.T, Fraction(1, 2)).T.tolist() == [expected] * 3


def test_a_bump_doubled_by_hand() -> None:
    image = np.full((2, 8), 100, np.uint8)
    image[:, 3] += 128
    expected = [100, 100, 100, 97, 91, 129, 211, 211, 129, 91, 97, 100, 100, 100, 100, 100]
    assert imresize(image, 2).tolist() == [expected] * 4


def test_over_and_undershoot_are_clamped() -> None:
    edge = np.zeros((4, 16), np.uint8)
    edge[:, 8:] = 255
    enlarged = imresize(edge, 2)
    assert enlarged[:, :16].max() < 128 <= enlarged[:, 16:].min()
    assert enlarged.min() == 0
    assert enlarged.max() == 255


@pytest.mark.parametrize("factor", [*FACTORS, 0.37, 1.7])
@pytest.mark.parametrize("gray", [0, 1, 137, 255])
def test_a_constant_image_stays_constant(factor: Fraction | float, gray: int) -> None:
    assert np.unique(imresize(np.full((17, 9, 3), gray, np.uint8), factor)).tolist() == [gray]


@pytest.mark.parametrize("factor", [1, 1.0, Fraction(1)])
def test_factor_one_is_the_identity(factor: Fraction | float) -> None:
    image = random_image(7, 5, 3)
    same = imresize(image, factor)
    np.testing.assert_array_equal(same, image)
    assert not np.shares_memory(same, image)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (31, 2), (50, 49)])
def test_each_side_is_multiplied_and_rounded_up(
    size: tuple[int, int], factor: Fraction | int
) -> None:
    expected = tuple(ceil(side * factor) for side in size)
    assert imresize(random_image(*size), factor).shape == expected
    assert imresize(random_image(*size, 3), factor).shape == (*expected, 3)


@pytest.mark.parametrize("scale", range(2, 10))
def test_a_float_factor_means_its_simple_fraction(scale: int) -> None:
    image = random_image(scale * 7, scale * 5, 3)
    exact = imresize(image, Fraction(1, scale))
    assert exact.shape == (7, 5, 3)
    np.testing.assert_array_equal(imresize(image, 1 / scale), exact)


@pytest.mark.parametrize("factor", FACTORS)
def test_flipping_commutes_with_resizing(factor: Fraction | int) -> None:
    image = random_image(24, 36, 3)
    for axis in (0, 1):
        np.testing.assert_array_equal(
            imresize(np.flip(image, axis), factor), np.flip(imresize(image, factor), axis)
        )


def test_channels_are_resized_one_by_one() -> None:
    image = random_image(20, 33, 3)
    lr = imresize(image, Fraction(1, 4))
    assert lr.flags.c_contiguous
    for channel in range(3):
        np.testing.assert_array_equal(
            lr[..., channel], imresize(image[..., channel], Fraction(1, 4))
        )


def test_the_left_of_a_large_image_equals_the_left_resized_alone() -> None:
    image = random_image(300, 800, 3)
    factor = Fraction(1, 2)
    left = imresize(image[:, :100], factor)  # its last columns see the mirror, not the rest
    np.testing.assert_array_equal(imresize(image, factor)[:, :48], left[:, :48])


@pytest.mark.parametrize("factor", [0, -1, Fraction(-1, 2), 0.0, 1e-9, float("nan"), float("inf")])
def test_a_factor_that_is_not_positive_and_finite_is_refused(factor: Fraction | float) -> None:
    with pytest.raises(ValueError, match=r"expected a factor .* got"):
        imresize(random_image(4, 4), factor)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.float32), np.zeros(4, np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_a_image_of_another_shape_or_type_is_refused(image: Image) -> None:
    with pytest.raises(ValueError, match=r"expected an image .* got"):
        imresize(image, 2)
