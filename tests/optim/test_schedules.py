import math

import pytest

from sr.optim.schedules import cosine, cosine_restarts, multi_step, warmup


def test_warmup_grows_linearly_to_one() -> None:
    assert [warmup(step, 4) for step in range(1, 7)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert warmup(1, 0) == 1


def test_cosine_runs_from_one_to_the_final_factor() -> None:
    def factor(step: int) -> float:
        return cosine(step, steps=110, warmup_steps=10, final_factor=0.1)

    assert factor(5) == 0.5
    assert factor(10) == 1
    assert factor(60) == pytest.approx(0.55)
    assert factor(110) == pytest.approx(0.1)
    assert factor(500) == pytest.approx(0.1)
    falling = [factor(step) for step in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


def test_multi_step_falls_after_each_milestone() -> None:
    factors = [multi_step(step, 2, [3, 5], 0.5) for step in range(1, 8)]
    assert factors == [0.5, 1, 1, 0.5, 0.5, 0.25, 0.25]


def basicsr_factor(step: int, periods: list[int], weights: list[float], least: float) -> float:
    """BasicSR's CosineAnnealingRestartLR: its position is the step - 1, up to the end included."""
    position, start = step - 1, 0
    for period, weight in zip(periods, weights, strict=True):
        if position <= start + period:
            cosine = 1 + math.cos(math.pi * (position - start) / period)
            return least + weight * 0.5 * (1 - least) * cosine
        start += period
    raise AssertionError(step)


def test_cosines_with_restarts_are_those_of_basicsr() -> None:
    periods, weights = [4, 6, 5], [1.0, 0.5, 0.25]
    for step in range(1, 17):
        factor = cosine_restarts(step, 0, periods, weights, 0.1)
        assert factor == pytest.approx(basicsr_factor(step, periods, weights, 0.1))
    assert cosine_restarts(1, 0, periods, weights, 0.1) == 1
    assert cosine_restarts(6, 0, periods, weights, 0.1) > 3 * cosine_restarts(
        5, 0, periods, weights, 0.1
    )


def test_behind_the_last_period_the_factor_stays() -> None:
    assert cosine_restarts(12, 0, [4, 6], [1.0], 0.25) == pytest.approx(0.25)
    assert cosine_restarts(99, 0, [4, 6], [1.0], 0.25) == pytest.approx(0.25)


def test_the_warm_up_takes_the_place_of_a_cosines_beginning() -> None:
    factors = [cosine_restarts(step, 4, [10], [1.0], 0.0) for step in range(1, 6)]
    assert factors[:3] == [0.25, 0.5, 0.75]
    assert factors[3:] == [cosine_restarts(step, 0, [10], [1.0], 0.0) for step in (4, 5)]
