import pytest

from sr.optim.schedules import cosine, multi_step, warmup


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
