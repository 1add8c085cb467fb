import pytest

from sr.training.gan_monitor import MIN_WEIGHT_FACTOR, Action, GANMonitor


def make_monitor(action: Action = "warn", window: int = 10) -> GANMonitor:
    return GANMonitor(
        window=window,
        max_margin=5.0,
        max_color_drift=0.02,
        max_nonfinite_share=0.1,
        action=action,
        lower_factor=0.5,
    )


def observe(monitor: GANMonitor, steps: range, **values: float) -> dict[int, list[str]]:
    """What is reported in which step."""
    reported = {step: monitor.observe(step, values) for step in steps}
    return {step: alarms for step, alarms in reported.items() if alarms}


def test_nothing_is_reported_while_all_is_well() -> None:
    monitor = make_monitor()
    assert not observe(monitor, range(1, 100), d_real=2.0, d_sr=-2.0, drift_red=0.01, nonfinite=0.0)
    assert monitor.summarize()["margin"] == pytest.approx(4.0)


def test_a_margin_that_is_too_wide_is_reported_once_a_window() -> None:
    reported = observe(make_monitor(), range(1, 31), d_real=4.0, d_sr=-4.0)
    assert list(reported) == [10, 20, 30]
    assert "D(hr) - D(sr) is 8.00, above 5" in reported[10][0]


@pytest.mark.parametrize("sign", [1, -1])
def test_drifting_colors_are_reported_with_their_channel(sign: int) -> None:
    reported = observe(make_monitor(), range(1, 11), drift_red=0.0, drift_blue=0.05 * sign)
    assert list(reported) == [10]
    assert f"mean blue of sr is {0.05 * sign:+.4f} off" in reported[10][0]


def test_too_many_skipped_steps_are_reported() -> None:
    monitor = make_monitor()
    assert not observe(monitor, range(1, 20), nonfinite=0.0)
    reported = observe(monitor, range(20, 25), nonfinite=1.0)
    assert list(reported) == [21]
    assert "19.0% of the steps were not finite, more than 10.0%" in reported[21][0]


def test_an_alarm_ends_when_the_means_are_back() -> None:
    monitor = make_monitor()
    observe(monitor, range(1, 11), d_real=4.0, d_sr=-4.0)
    assert monitor.alarms
    observe(monitor, range(11, 60), d_real=0.0, d_sr=0.0)
    assert not monitor.alarms


def test_values_that_are_missing_in_a_step_keep_their_means() -> None:
    monitor = make_monitor()
    observe(monitor, range(1, 11), d_real=1.0, d_sr=0.0)
    monitor.observe(11, {"nonfinite": 1.0})
    assert monitor.means["d_real"] == 1.0


def test_the_weight_is_lowered_at_each_alarm() -> None:
    monitor = make_monitor("lower_weight")
    observe(monitor, range(1, 21), d_real=4.0, d_sr=-4.0)
    assert monitor.weight_factor == 0.25


def test_several_alarms_and_wavering_ones_lower_the_weight_once_a_window() -> None:
    monitor = make_monitor("lower_weight")
    for step in range(1, 41):
        wavering = 5.5 if step % 2 else 4.5
        monitor.observe(step, {"d_real": wavering, "d_sr": 0.0, "drift_red": 0.1})
    assert monitor.weight_factor == 0.5**4


def test_the_weight_is_never_lowered_to_nothing() -> None:
    monitor = make_monitor("lower_weight", window=1)
    observe(monitor, range(1, 2000), drift_red=1.0)
    assert monitor.weight_factor == MIN_WEIGHT_FACTOR


def test_the_discriminator_is_paused_for_a_window() -> None:
    monitor = make_monitor("pause_discriminator")
    observe(monitor, range(1, 11), d_real=4.0, d_sr=-4.0)
    assert [monitor.pauses(step) for step in (11, 20, 21)] == [True, True, False]


def test_after_a_pause_the_discriminator_is_measured_again() -> None:
    monitor, updated = make_monitor("pause_discriminator"), []
    for step in range(1, 101):
        measured = {}
        if not monitor.pauses(step):
            updated.append(step)
            measured = {"d_real": 4.0, "d_sr": -4.0 if step <= 10 else 0.0}
        monitor.observe(step, {"drift_red": 0.0, **measured})
    assert updated == [*range(1, 11), *range(21, 101)]


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_values_that_are_not_finite_leave_the_means_alone(odd: float) -> None:
    monitor = make_monitor()
    observe(monitor, range(1, 11), drift_red=0.01)
    monitor.observe(11, {"drift_red": odd})
    assert monitor.means["drift_red"] == pytest.approx(0.01)


def test_the_run_is_stopped_where_asked() -> None:
    monitor = make_monitor("stop")
    observe(monitor, range(1, 10), d_real=4.0, d_sr=-4.0)
    assert not monitor.stops
    observe(monitor, range(10, 11), d_real=4.0, d_sr=-4.0)
    assert monitor.stops


def test_warnings_alone_change_nothing() -> None:
    monitor = make_monitor("warn")
    observe(monitor, range(1, 31), d_real=4.0, d_sr=-4.0)
    assert monitor.weight_factor == 1
    assert not monitor.pauses(31)


def test_a_restored_monitor_goes_on_like_the_first() -> None:
    first, second = make_monitor("lower_weight"), make_monitor("lower_weight")
    observe(first, range(1, 16), d_real=4.0, d_sr=-4.0)
    second.load_state_dict(first.state_dict())
    assert observe(first, range(16, 40), d_real=3.0, d_sr=-4.0) == observe(
        second, range(16, 40), d_real=3.0, d_sr=-4.0
    )
    assert first.state_dict() == second.state_dict()
