"""Learning-rate schedules: factors in [0, 1] as pure functions of the step, counted from 1.

Nothing is stored: a resumed run, also one whose schedule was changed, computes the same factor
from its step.
"""

import math
from collections.abc import Sequence


def warmup(step: int, warmup_steps: int) -> float:
    """Grow linearly and reach 1 at `warmup_steps`."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0


def cosine(step: int, steps: int, warmup_steps: int, final_factor: float) -> float:
    """Follow, after the warm-up, half a cosine from 1 to `final_factor` at the last step."""
    if step <= warmup_steps:
        return warmup(step, warmup_steps)
    progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return final_factor + (1 - final_factor) * 0.5 * (1 + math.cos(math.pi * progress))


def multi_step(step: int, warmup_steps: int, milestones: Sequence[int], gamma: float) -> float:
    """Return gamma^n after n milestones, times the warm-up."""
    passed = sum(step > milestone for milestone in milestones)
    return float(warmup(step, warmup_steps) * gamma**passed)
