from itertools import pairwise
from math import cos, pi, sin

import numpy as np
import pytest
from numpy.typing import NDArray

from sr.data.kernels import (
    Kernel,
    draw_blur_kernel,
    draw_sinc_kernel,
    make_gaussian_kernel,
    make_sinc_kernel,
    trim_kernel,
)


def offsets(kernel: Kernel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """x (to the right) and y (down) of every element, from the center."""
    indices = np.indices(kernel.shape) - len(kernel) // 2
    return indices[1], indices[0]


def covariance(kernel: Kernel) -> NDArray[np.float64]:
    x, y = offsets(kernel)
    return np.array(
        [[(kernel * a * b).sum(dtype=np.float64) for a in (x, y)] for b in (x, y)],
    )


def response(kernel: Kernel, frequency: float) -> float:
    """Of the kernel to a cosine along x, in radians a pixel."""
    x, _ = offsets(kernel)
    return float((kernel * np.cos(frequency * x)).sum())


@pytest.mark.parametrize(
    "kernel",
    [
        make_gaussian_kernel(21, (0.2, 0.2)),
        make_gaussian_kernel(21, (3.0, 1.0), angle=0.7),
        make_gaussian_kernel(7, (3.0, 3.0), beta=0.5),
        make_gaussian_kernel(13, (2.0, 2.0), beta=4.0),
        make_gaussian_kernel(21, (3.0, 0.5), angle=-2.0, beta=2.0, plateau=True),
        make_sinc_kernel(7, pi),
        make_sinc_kernel(21, pi / 5),
    ],
)
def test_a_kernel_sums_to_one_and_is_symmetric_about_its_center(kernel: Kernel) -> None:
    assert kernel.dtype == np.float32
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    small = trim_kernel(kernel)
    assert small.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("angle", [0.0, pi / 2, 0.6, -0.6, 2.5])
def test_an_oblong_gaussian_lies_along_its_angle_with_its_standard_deviations(
    angle: float,
) -> None:
    kernel = make_gaussian_kernel(31, (3.0, 1.2), angle)
    variances, axes = np.linalg.eigh(covariance(kernel))
    np.testing.assert_allclose(variances, [1.2**2, 3.0**2], rtol=0.01)
    assert abs(axes[:, 1] @ [cos(angle), sin(angle)]) == pytest.approx(1, abs=1e-3)


def test_a_flat_and_a_peaked_gaussian_lie_on_either_side_of_the_gaussian() -> None:
    # Kurtosis along x: 3 for the Gaussian, more for long tails, less for a box.
    kurtoses = []
    for beta in (0.5, 1.0, 4.0):
        kernel = make_gaussian_kernel(51, (1.5, 1.5), beta=beta)
        x, _ = offsets(kernel)
        kurtoses.append((kernel * x**4).sum() / (kernel * x**2).sum() ** 2)
    assert kurtoses[0] > 3.3
    assert kurtoses[1] == pytest.approx(3, rel=0.02)
    assert kurtoses[2] < 2.7


def test_a_plateau_falls_to_half_its_height_at_one_sigma() -> None:
    for beta in (1.0, 2.0):
        kernel = make_gaussian_kernel(21, (3.0, 5.0), beta=beta, plateau=True)
        assert kernel[10, 13] == pytest.approx(kernel[10, 10] / 2)
        assert kernel[15, 10] == pytest.approx(kernel[10, 10] / 2)


def test_a_sinc_kernel_passes_what_is_below_its_cutoff_and_stops_what_is_above() -> None:
    kernel = make_sinc_kernel(51, pi / 2)
    for frequency in (0.0, 0.2 * pi, 0.4 * pi):
        assert response(kernel, frequency) == pytest.approx(1, abs=0.08)
    for frequency in (0.6 * pi, 0.8 * pi, pi):
        assert response(kernel, frequency) == pytest.approx(0, abs=0.08)
    assert kernel.min() < 0  # which makes edges ring


def test_a_trimmed_kernel_is_the_smallest_with_nearly_the_whole_sum() -> None:
    for sigma in (0.2, 1.0, 3.0):
        whole = make_gaussian_kernel(51, (sigma, sigma))
        small = trim_kernel(whole)
        cut = (51 - len(small)) // 2
        assert whole[cut : 51 - cut, cut : 51 - cut].sum() >= 0.999
        inner = slice(cut + 1, 50 - cut)
        assert len(small) == 1 or whole[inner, inner].sum() < 0.999
        np.testing.assert_allclose(small, whole[cut : 51 - cut, cut : 51 - cut], rtol=2e-3)
    box = np.full((5, 5), 1 / 25, np.float32)
    np.testing.assert_array_equal(trim_kernel(box), box)


def test_random_kernels_keep_to_their_ranges_and_take_every_size() -> None:
    rng = np.random.default_rng(0)
    kernels = [draw_blur_kernel((7, 11), (2.5, 3.0), 0.0, rng) for _ in range(100)]
    assert {len(kernel) for kernel in kernels} == {7, 9, 11}
    assert all(kernel.max() < 0.3 for kernel in kernels)
    sharp = [draw_blur_kernel((7, 11), (0.2, 0.2), 0.0, rng) for _ in range(50)]
    assert all(kernel[len(kernel) // 2, len(kernel) // 2] > 0.5 for kernel in sharp)
    assert {len(draw_sinc_kernel((3, 5), rng)) for _ in range(50)} == {3, 5}


def test_the_share_of_sinc_kernels_is_the_one_asked_for() -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        kernels = [draw_blur_kernel((21, 21), (1.0, 3.0), share, rng) for _ in range(150)]
        ringing = np.mean([kernel.min() < 0 for kernel in kernels])
        assert ringing == pytest.approx(share, abs=0.1)


def test_oblong_kernels_occur_as_often_as_in_the_paper_and_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    moments = [covariance(draw_blur_kernel((21, 21), (0.5, 2.0), 0.0, rng)) for _ in range(300)]
    oblong = [moment for moment in moments if np.ptp(np.linalg.eigvalsh(moment)) > 1e-3]
    assert len(oblong) / 300 == pytest.approx(0.31, abs=0.07)
    slopes = [moment[0, 1] for moment in oblong]
    assert np.mean(np.sign(slopes)) == pytest.approx(0, abs=0.25)


def test_the_same_random_generator_gives_the_same_kernels() -> None:
    series = [
        [draw_blur_kernel((7, 21), (0.2, 3.0), 0.1, rng) for _ in range(20)]
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    ]
    for one, other in zip(*series, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(a.shape != b.shape or (a != b).any() for a, b in pairwise(series[0]))
