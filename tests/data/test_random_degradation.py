from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr.data.degradations import FloatImage, blur, compress, resize, to_float, to_uint8
from sr.data.imresize import imresize
from sr.data.kernels import make_gaussian_kernel
from sr.data.random_degradation import (
    Degradation,
    DegradationPlan,
    Stage,
    StagePlan,
    degrade,
    draw_plan,
)
from sr.options.degradations import StageOptions

Image = NDArray[np.uint8]

FIRST = Stage(**dict(StageOptions(webp_probability=0.2)))
SECOND = replace(
    FIRST,
    blur_probability=0.8,
    resize_probabilities=(0.3, 0.4, 0.3),
    resize_factor=(0.3, 1.2),
    quality=(40, 60),
)
BOTH = Degradation((FIRST, SECOND), final_sinc_probability=0.8, clean_probability=0.1)

NOTHING = StagePlan(
    kernel=None,
    factor=1.0,
    filter="area",
    gaussian=True,
    noise=0.0,
    gray=False,
    codec=None,
    quality=90,
)


def smooth(side: int, seed: int = 0) -> Image:
    """An image without detail that scale 4 would lose."""
    noise = np.random.default_rng(seed).random((side, side, 3), dtype=np.float32)
    soft = blur(
        blur(noise, make_gaussian_kernel(31, (4.0, 4.0))), make_gaussian_kernel(31, (4.0, 4.0))
    )
    return to_uint8((soft - soft.min()) / (soft.max() - soft.min()))


def plans(degradation: Degradation, count: int, seed: int = 0) -> list[DegradationPlan]:
    rng = np.random.default_rng(seed)
    drawn = [draw_plan(degradation, rng) for _ in range(count)]
    return [plan for plan in drawn if plan is not None]


def run(hr: Image, plan: DegradationPlan, scale: int = 4, seed: int = 0) -> Image:
    return degrade(hr, plan, scale, np.random.default_rng(seed))


def shift(image: Image, reference: Image) -> NDArray[np.float64]:
    """Sub-pixel shift (down, right) of the image against the reference, by least squares."""
    ours, theirs = (array.astype(np.float64).mean(axis=2) for array in (image, reference))
    down, right = np.gradient(theirs)
    inner = (slice(2, -2), slice(2, -2))
    slopes = np.stack([down[inner].ravel(), right[inner].ravel()], axis=1)
    solution, *_ = np.linalg.lstsq(slopes, (theirs - ours)[inner].ravel(), rcond=None)
    return np.asarray(solution)


def test_the_measured_shift_is_the_shift() -> None:
    image = smooth(120)
    lr = imresize(image, Fraction(1, 4))
    moved = imresize(np.roll(image, (2, -1), axis=(0, 1)), Fraction(1, 4))
    np.testing.assert_allclose(shift(moved, lr), [0.5, -0.25], atol=0.06)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(24, 24), (24, 72), (120, 48)])
def test_lr_has_the_exact_size_whatever_the_plan(scale: int, size: tuple[int, int]) -> None:
    hr = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = hr.copy()
    for plan in plans(BOTH, 12, seed=scale):
        lr = run(hr, plan, scale)
        assert lr.shape == (size[0] // scale, size[1] // scale, 3)
        assert lr.dtype == np.uint8
    np.testing.assert_array_equal(hr, before)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_without_blur_noise_and_compression_lr_is_in_register_with_the_bicubic_one(
    scale: int,
) -> None:
    quiet = {
        "blur_probability": 0.0,
        "gaussian_sigma": (0.0, 0.0),
        "poisson_scale": (0.0, 0.0),
        "compression_probability": 0.0,
    }
    changes: dict[str, Any] = quiet
    stages = (replace(FIRST, **changes), replace(SECOND, **changes))
    hr = smooth(120)
    bicubic = imresize(hr, Fraction(1, scale))
    for plan in plans(Degradation(stages, 0.0, 0.0), 40, seed=scale):
        assert np.abs(shift(run(hr, plan, scale), bicubic)).max() < 0.1


def test_blur_and_a_sinc_filter_do_not_shift_either() -> None:
    changes: dict[str, Any] = {
        "gaussian_sigma": (0.0, 0.0),
        "poisson_scale": (0.0, 0.0),
        "compression_probability": 0.0,
        "resize_probabilities": (0.0, 0.0, 1.0),
    }
    stages = (replace(FIRST, **changes), replace(SECOND, **changes))
    hr = smooth(120)
    bicubic = imresize(hr, Fraction(1, 4))
    for plan in plans(Degradation(stages, 1.0, 0.0), 20):
        assert np.abs(shift(run(hr, plan), bicubic)).max() < 0.1


def test_a_plan_that_does_nothing_leaves_the_area_average() -> None:
    hr = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    averages = hr.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    for stages in ((NOTHING,), (NOTHING, NOTHING)):
        lr = run(hr, DegradationPlan(stages, None, "area", compress_last=True))
        np.testing.assert_allclose(lr, averages, atol=0.51)


def test_the_last_factor_is_of_the_lr_size_and_the_others_of_the_hr_size() -> None:
    hr = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    steps = replace(NOTHING, factor=0.75), replace(NOTHING, factor=0.5, filter="bilinear")
    expected: FloatImage = resize(to_float(hr), (48, 48), "area")
    expected = resize(resize(expected, (8, 8), "bilinear"), (16, 16), "bicubic")
    lr = run(hr, DegradationPlan(steps, None, "bicubic", compress_last=False))
    np.testing.assert_array_equal(lr, to_uint8(expected))


@pytest.mark.parametrize("compress_last", [True, False])
def test_the_last_compression_comes_before_or_after_resizing_with_the_sinc_filter(
    compress_last: bool,
) -> None:
    hr = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    kernel = make_gaussian_kernel(7, (1.0, 1.0))
    stage = replace(NOTHING, factor=1.5, codec="jpeg", quality=20)
    image = resize(to_float(hr), (24, 24), "area")
    if compress_last:
        image = compress(blur(resize(image, (16, 16), "area"), kernel), "jpeg", 20)
    else:
        image = blur(resize(compress(image, "jpeg", 20), (16, 16), "area"), kernel)
    lr = run(hr, DegradationPlan((stage,), kernel, "area", compress_last))
    np.testing.assert_array_equal(lr, to_uint8(image))


def test_every_number_of_a_plan_lies_in_its_range() -> None:
    drawn = plans(BOTH, 300)
    for index, stage in enumerate((FIRST, SECOND)):
        done = [plan.stages[index] for plan in drawn]
        factors = [plan.factor for plan in done]
        assert stage.resize_factor[0] <= min(factors) < 0.5
        assert 1.1 < max(factors) <= stage.resize_factor[1]
        assert {plan.quality for plan in done} <= set(range(30, 96))
        assert min(plan.quality for plan in done) >= stage.quality[0]
        assert max(plan.quality for plan in done) <= stage.quality[1]
        assert {plan.filter for plan in done} == set(stage.resize_filters)
        for kind, (low, high) in ((True, stage.gaussian_sigma), (False, stage.poisson_scale)):
            noises = [plan.noise for plan in done if plan.gaussian is kind]
            assert low <= min(noises) < low + 0.1 * (high - low)
            assert high - 0.1 * (high - low) < max(noises) <= high


def test_every_choice_is_made_as_often_as_asked_for() -> None:
    drawn = plans(BOTH, 400)

    def share(choices: list[bool]) -> float:
        return float(np.mean(choices))

    assert len(drawn) / 400 == pytest.approx(0.9, abs=0.05)
    assert share([plan.final_kernel is not None for plan in drawn]) == pytest.approx(0.8, abs=0.08)
    assert share([plan.compress_last for plan in drawn]) == pytest.approx(0.5, abs=0.1)
    first, second = ([plan.stages[index] for plan in drawn] for index in (0, 1))
    assert all(plan.kernel is not None for plan in first)
    assert share([plan.kernel is not None for plan in second]) == pytest.approx(0.8, abs=0.08)
    assert share([plan.factor > 1 for plan in first]) == pytest.approx(0.2, abs=0.08)
    assert share([plan.factor < 1 for plan in first]) == pytest.approx(0.7, abs=0.08)
    assert share([plan.factor == 1 for plan in second]) == pytest.approx(0.3, abs=0.08)
    assert share([plan.gaussian for plan in first]) == pytest.approx(0.5, abs=0.1)
    assert share([plan.gray for plan in first]) == pytest.approx(0.4, abs=0.1)
    assert share([plan.codec == "webp" for plan in first]) == pytest.approx(0.2, abs=0.08)
    assert share([plan.codec == "jpeg" for plan in first]) == pytest.approx(0.8, abs=0.08)


def test_a_step_with_probability_zero_never_happens() -> None:
    stage = replace(FIRST, blur_probability=0.0, compression_probability=0.0)
    drawn = plans(Degradation((stage,), 0.0, 0.0), 50)
    assert len(drawn) == 50
    for plan in drawn:
        assert plan.final_kernel is None
        assert plan.stages[0].kernel is None
        assert plan.stages[0].codec is None
    assert plans(replace(BOTH, clean_probability=1.0), 20) == []


def test_the_same_random_generator_gives_the_same_lr_and_another_one_does_not() -> None:
    hr = smooth(64)

    def series(seed: int) -> list[Image]:
        rng = np.random.default_rng(seed)
        drawn = [draw_plan(replace(BOTH, clean_probability=0.0), rng) for _ in range(4)]
        return [degrade(hr, plan, 4, rng) for plan in drawn if plan is not None]

    for one, same, other in zip(series(3), series(3), series(4), strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()


def test_noise_alone_differs_with_the_generator_of_one_plan() -> None:
    plan = DegradationPlan((replace(NOTHING, noise=10.0),), None, "area", compress_last=False)
    hr = smooth(64)
    assert (run(hr, plan, seed=1) != run(hr, plan, seed=2)).any()
    np.testing.assert_array_equal(run(hr, plan, seed=1), run(hr, plan, seed=1))


@pytest.mark.parametrize("scale", [2, 4])
def test_black_or_white_beyond_the_margin_makes_next_to_no_difference(scale: int) -> None:
    changes: dict[str, Any] = {
        "gaussian_sigma": (0.0, 0.0),
        "poisson_scale": (0.0, 0.0),
        "compression_probability": 0.0,
    }
    stages = (replace(FIRST, **changes), replace(SECOND, **changes))
    size, surroundings = 6, 10
    rng = np.random.default_rng(1)
    differences = []
    for plan in plans(Degradation(stages, 0.8, 0.0), 20):
        side = scale * (size + 2 * plan.compute_margin(scale))
        window = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        border = scale * surroundings
        black, white = (
            np.pad(window, ((border, border), (border, border), (0, 0)), constant_values=level)
            for level in (0, 255)
        )
        outer = plan.compute_margin(scale) + surroundings
        middle = slice(outer, outer + size)
        one, other = (run(hr, plan, scale)[middle, middle].astype(int) for hr in (black, white))
        differences.append(np.abs(one - other).max())
    assert max(differences) <= 4  # of 255; three quarters of the margin give 17
    assert np.mean(differences) < 1


def test_a_margin_grows_with_the_kernels_and_as_images_shrink() -> None:
    still = DegradationPlan((NOTHING,), None, "area", compress_last=False)
    kernel = make_gaussian_kernel(21, (3.0, 3.0))
    blurred = replace(still, stages=(replace(NOTHING, kernel=kernel),))
    small = replace(NOTHING, factor=0.2)
    later = replace(still, stages=(small, replace(NOTHING, kernel=kernel)))
    assert still.compute_margin(4) < blurred.compute_margin(4) < later.compute_margin(4)
    assert replace(still, final_kernel=kernel).compute_margin(4) >= 10
    assert all(
        0 < plan.compute_margin(scale) < 200 // scale
        for plan in plans(BOTH, 50)
        for scale in (2, 4)
    )
