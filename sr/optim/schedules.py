"""Learning-rate schedules: factors in [0, 1] as pure functions of the step, counted from 1.

Nothing is stored: a resumed run, also one whose schedule was changed, computes the same factor
from its step.
"""

import math
from collections.abc import Sequence
from itertools import accumulate


def warmup(step: int, warmup_steps: int) -> float:
    """Grow linearly and reach 1 at `warmup_steps`."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0


def cosine(step: int, steps: int, warmup_steps: int, final_factor: float) -> float:
    """Follow, after the warm-up, half a cosine from 1 to `final_factor` at the last step."""
    if step <= warmup_steps:
        return warmup(step, warmup_steps)
    progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return final_factor + (1 - final_factor) * 0.5 * (1 + math.cos(math.pi * progress))


def cosine_restarts(
    step: int,
    warmup_steps: int,
    periods: Sequence[int],
    restart_factors: Sequence[float],
    final_factor: float,
) -> float:
    """Follow half a cosine in each period, each from its restart factor to `final_factor`.

    restart_factors: of each period, or one of all. As in BasicSR: the warm-up takes the place of
    the first period's beginning; the first step of a run, and the one after that which ends a
    period, are 0 and 1 steps into theirs. Behind the last period it stays where that ended.
    """
    if step < warmup_steps:
        return warmup(step, warmup_steps)
    done, ends = step - 1, list(accumulate(periods))
    number = next((index for index, end in enumerate(ends) if done <= end), len(ends) - 1)
    into = min(periods[number], done - ends[number] + periods[number])
    factor = restart_factors[number if len(restart_factors) > 1 else 0]
    share = factor * 0.5 * (1 + math.cos(math.pi * into / periods[number]))
    return final_factor + (1 - final_factor) * share


def multi_step(step: int, warmup_steps: int, milestones: Sequence[int], gamma: float) -> float:
    """Return gamma^n after n milestones, times the warm-up."""
    passed = sum(step > milestone for milestone in milestones)
    return float(warmup(step, warmup_steps) * gamma**passed)
