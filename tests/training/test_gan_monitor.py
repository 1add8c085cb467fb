import pytest

from sr.training.gan_monitor import LEAST_FACTOR, Action, Health, Limits


def watch(action: Action = "warn", window: int = 10) -> Health:
    return Health(Limits(window, 5.0, 0.02, 0.1, action, lower_factor=0.5))


def feed(health: Health, steps: range, **values: float) -> dict[int, list[str]]:
    """What is told in which step."""
    told = {step: health.observe(step, values) for step in steps}
    return {step: alarms for step, alarms in told.items() if alarms}


def test_nothing_is_told_while_all_is_well() -> None:
    health = watch()
    assert not feed(health, range(1, 100), d_real=2.0, d_sr=-2.0, drift_red=0.01, nonfinite=0.0)
    assert health.summary()["margin"] == pytest.approx(4.0)


def test_a_margin_that_is_too_wide_is_told_once_a_window() -> None:
    told = feed(watch(), range(1, 31), d_real=4.0, d_sr=-4.0)
    assert list(told) == [10, 20, 30]
    assert "D(hr) - D(sr) is 8.00, above 5" in told[10][0]


@pytest.mark.parametrize("sign", [1, -1])
def test_drifting_colors_are_told_with_their_channel(sign: int) -> None:
    told = feed(watch(), range(1, 11), drift_red=0.0, drift_blue=0.05 * sign)
    assert list(told) == [10]
    assert f"mean blue of sr is {0.05 * sign:+.4f} off" in told[10][0]


def test_too_many_skipped_steps_are_told() -> None:
    health = watch()
    assert not feed(health, range(1, 20), nonfinite=0.0)
    told = feed(health, range(20, 25), nonfinite=1.0)
    assert list(told) == [21]
    assert "19.0% of the steps were not finite, more than 10.0%" in told[21][0]


def test_an_alarm_ends_when_the_means_are_back() -> None:
    health = watch()
    feed(health, range(1, 11), d_real=4.0, d_sr=-4.0)
    assert health.alarms
    feed(health, range(11, 60), d_real=0.0, d_sr=0.0)
    assert not health.alarms


def test_values_that_are_missing_in_a_step_keep_their_means() -> None:
    health = watch()
    feed(health, range(1, 11), d_real=1.0, d_sr=0.0)
    health.observe(11, {"nonfinite": 1.0})
    assert health.means["d_real"] == 1.0


def test_the_weight_is_lowered_at_each_alarm() -> None:
    health = watch("lower_weight")
    feed(health, range(1, 21), d_real=4.0, d_sr=-4.0)
    assert health.weight_factor == 0.25


def test_several_alarms_and_wavering_ones_lower_the_weight_once_a_window() -> None:
    health = watch("lower_weight")
    for step in range(1, 41):
        wavering = 5.5 if step % 2 else 4.5
        health.observe(step, {"d_real": wavering, "d_sr": 0.0, "drift_red": 0.1})
    assert health.weight_factor == 0.5**4


def test_the_weight_is_never_lowered_to_nothing() -> None:
    health = watch("lower_weight", window=1)
    feed(health, range(1, 2000), drift_red=1.0)
    assert health.weight_factor == LEAST_FACTOR


def test_the_discriminator_is_paused_for_a_window() -> None:
    health = watch("pause_discriminator")
    feed(health, range(1, 11), d_real=4.0, d_sr=-4.0)
    assert [health.pauses(step) for step in (11, 20, 21)] == [True, True, False]


def test_after_a_pause_the_discriminator_is_measured_anew() -> None:
    health, learned = watch("pause_discriminator"), []
    for step in range(1, 101):
        judged = {}
        if not health.pauses(step):
            learned.append(step)
            judged = {"d_real": 4.0, "d_sr": -4.0 if step <= 10 else 0.0}
        health.observe(step, {"drift_red": 0.0, **judged})
    assert learned == [*range(1, 11), *range(21, 101)]


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_values_that_are_not_finite_leave_the_means_alone(odd: float) -> None:
    health = watch()
    feed(health, range(1, 11), drift_red=0.01)
    health.observe(11, {"drift_red": odd})
    assert health.means["drift_red"] == pytest.approx(0.01)


def test_the_run_is_stopped_where_asked() -> None:
    health = watch("stop")
    feed(health, range(1, 10), d_real=4.0, d_sr=-4.0)
    assert not health.stops
    feed(health, range(10, 11), d_real=4.0, d_sr=-4.0)
    assert health.stops


def test_warnings_alone_change_nothing() -> None:
    health = watch("warn")
    feed(health, range(1, 31), d_real=4.0, d_sr=-4.0)
    assert health.weight_factor == 1
    assert not health.pauses(31)


def test_a_restored_watch_goes_on_like_the_first() -> None:
    first, second = watch("lower_weight"), watch("lower_weight")
    feed(first, range(1, 16), d_real=4.0, d_sr=-4.0)
    second.load_state_dict(first.state_dict())
    assert feed(first, range(16, 40), d_real=3.0, d_sr=-4.0) == feed(
        second, range(16, 40), d_real=3.0, d_sr=-4.0
    )
    assert first.state_dict() == second.state_dict()
