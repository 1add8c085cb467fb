"""Regular patterns, flat and in perspective: stripes, grids, test charts, facades and fences.

Nothing is drawn larger: an edge's coverage of a pixel is known from its distance. What repeats
faster than a pixel grid can show fades to its mean, so that there is no moire. Periods are such
that LR, at the same angle, shows something of them: no network can know what left no trace.
Coordinates u, v are counted in periods; (H, W) float32.
"""

from dataclasses import dataclass

import numpy as np

from sr.data.synthetic.colors import (
    Values,
    blend,
    draw_background,
    draw_color,
    draw_contrasting_color,
    draw_gradient,
)

_FADES_FROM, _FADES_TO = 0.33, 0.45  # periods per pixel; 0.5 is the most that pixels can show
_TABLE = 32  # cells after which what differs from cell to cell repeats
_SLANT = 1.2  # how far from 1 the distances of a plane's points get, at most, in all


@dataclass(frozen=True)
class Phase:
    """A coordinate in periods, and how fast it changes, in periods per pixel."""

    value: Values
    frequency: Values

    @property
    def cell(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Number of the period, in [0, _TABLE)."""
        return np.floor(self.value).astype(np.int64) % _TABLE

    def shift(self, amount: Values | float) -> "Phase":
        return Phase(np.asarray(self.value + amount, np.float32), self.frequency)

    def multiply(self, factor: float) -> "Phase":
        return Phase(self.value * np.float32(factor), self.frequency * np.float32(factor))


def make_phase(value: Values) -> Phase:
    """value: smooth."""
    down, across = np.gradient(value)
    return Phase(value, np.asarray(np.hypot(down, across), np.float32))


def draw_bars(phase: Phase, width: float) -> Values:
    """Coverage of bars around whole-and-a-half numbers, `width` of a period wide."""
    distance = width / 2 - np.abs(phase.value - np.floor(phase.value) - np.float32(0.5))
    coverage = np.clip(distance / np.maximum(phase.frequency, 1e-6) + 0.5, 0, 1)
    return _fade(coverage, width, phase.frequency)


def draw_waves(phase: Phase) -> Values:
    """Coverage that goes up and down as a sine."""
    return _fade(0.5 - 0.5 * np.cos(2 * np.pi * phase.value), 0.5, phase.frequency)


def draw_pattern(size: int, scale: int, rng: np.random.Generator) -> Values:
    """Stripes, grids, checkerboards, dots, zone plates and star charts.

    Returns (size, size, 3), RGB in 8-bit levels.
    """
    u, v = _make_plane(size, _draw_period(1.6 * scale, 36, rng), rng)
    kind = rng.choice(["stripes", "sine", "grid", "checkerboard", "dots", "zones", "star"])
    match kind:
        case "stripes":
            coverage = draw_bars(u, rng.uniform(0.3, 0.7))
        case "sine":
            coverage = draw_waves(u)
        case "grid":
            width = rng.uniform(0.1, 0.4)
            coverage = np.maximum(draw_bars(u, width), draw_bars(v, width))
        case "checkerboard":
            one, other = draw_bars(u.multiply(0.5), 0.5), draw_bars(v.multiply(0.5), 0.5)
            coverage = one + other - 2 * one * other
        case "dots":
            coverage = _draw_dots(u, v, rng.uniform(0.2, 0.45))
        case _:
            coverage = _draw_chart(size, str(kind), rng)
    return _color_pattern(size, coverage, rng)


def draw_facade(size: int, scale: int, rng: np.random.Generator) -> Values:
    """Windows, bricks, fences or blinds, mostly in perspective.

    Returns (size, size, 3), RGB in 8-bit levels.
    """
    kind = rng.choice(
        ["windows", "bricks", "fence", "mesh", "slats"], p=[0.45, 0.15, 0.2, 0.1, 0.1]
    )
    match kind:
        case "windows":
            image = _draw_windows(size, scale, rng)
        case "bricks":
            image = _draw_bricks(size, scale, rng)
        case "fence":
            image = _draw_fence(size, scale, rng)
        case "mesh":
            u, v = _make_plane(size, _draw_period(2 * scale, 40, rng), rng)
            turned = make_phase(u.value + v.value), make_phase(u.value - v.value)
            width = rng.uniform(0.06, 0.2)
            coverage = np.maximum(draw_bars(turned[0], width), draw_bars(turned[1], width))
            image = _color_pattern(size, coverage, rng)
        case _:
            image = _draw_slats(size, scale, rng)
    light = np.ones(3, np.float32)
    return image * draw_gradient(size, light * rng.uniform(0.6, 1.0), light, rng)


def _draw_windows(size: int, scale: int, rng: np.random.Generator) -> Values:
    period = _draw_period(2.5 * scale, 60, rng)
    u, v = _make_plane(size, period, rng, upright=True)
    v = v.multiply(rng.uniform(0.5, 1.0))
    width, height = rng.uniform(0.35, 0.85), rng.uniform(0.4, 0.8)
    wall, frame = draw_color(rng), draw_color(rng)
    image = np.broadcast_to(wall, (size, size, 3)).astype(np.float32)
    if rng.random() < 0.4:  # floors
        image = blend(image, draw_color(rng), draw_bars(v.shift(0.5), rng.uniform(0.04, 0.15)))
    image = blend(image, frame, draw_bars(u, width) * draw_bars(v, height))
    border = rng.uniform(0.03, 0.08)
    panes = draw_bars(u, width - 2 * border) * draw_bars(v, height - 2 * border)
    table = rng.uniform(0.3, 1.0, (_TABLE, _TABLE)).astype(np.float32)
    glass = draw_contrasting_color(frame, rng) * table[u.cell, v.cell][..., None]
    image = blend(image, glass, panes)
    if rng.random() < 0.7:  # crossbars
        image = blend(image, frame, draw_bars(u, border) * draw_bars(v, height))
    if rng.random() < 0.5:
        image = blend(
            image, frame, draw_bars(u, width) * draw_bars(v.shift(rng.uniform(-0.1, 0.1)), border)
        )
    return image


def _draw_bricks(size: int, scale: int, rng: np.random.Generator) -> Values:
    u, v = _make_plane(size, _draw_period(2.5 * scale, 50, rng), rng, upright=True)
    v = v.multiply(rng.uniform(1.5, 3.0))
    u = u.shift(np.asarray(0.5 * (np.floor(v.value) % 2), np.float32))
    joint = rng.uniform(0.06, 0.12)
    table = rng.uniform(0.7, 1.1, (_TABLE, _TABLE)).astype(np.float32)
    mortar = draw_color(rng)
    brick = draw_contrasting_color(mortar, rng) * table[u.cell, v.cell][..., None]
    image = np.broadcast_to(mortar, (size, size, 3)).astype(np.float32)
    return blend(image, brick, draw_bars(u, 1 - joint) * draw_bars(v, 1 - 2 * joint))


def _draw_fence(size: int, scale: int, rng: np.random.Generator) -> Values:
    """Pickets and two rails before a background."""
    u, v = _make_plane(size, _draw_period(1.6 * scale, 40, rng), rng, upright=True)
    image = draw_background(size, rng)
    color = draw_color(rng)
    rails = draw_bars(v.multiply(rng.uniform(0.1, 0.25)), rng.uniform(0.08, 0.15))
    image = blend(image, color * np.float32(0.85), rails)
    return blend(image, color, draw_bars(u, rng.uniform(0.15, 0.7)))


def _draw_slats(size: int, scale: int, rng: np.random.Generator) -> Values:
    """Slats with a lit and a shaded side: blinds, stairs, corrugated iron."""
    _, v = _make_plane(size, _draw_period(1.6 * scale, 40, rng), rng, upright=True)
    color = draw_color(rng)
    image = blend(
        color * np.float32(0.5), color, draw_waves(v.multiply(0.5).shift(0.25)) * 0.5 + 0.5
    )
    return blend(image, draw_contrasting_color(color, rng), draw_bars(v, rng.uniform(0.1, 0.35)))


def _draw_dots(u: Phase, v: Phase, radius: float) -> Values:
    frequency = np.maximum(u.frequency, v.frequency)
    across, down = (phase.value - np.floor(phase.value) - np.float32(0.5) for phase in (u, v))
    distance = radius - np.hypot(across, down)
    coverage = np.clip(distance / np.maximum(frequency, 1e-6) + 0.5, 0, 1)
    return _fade(coverage, np.pi * radius**2, frequency)


def _draw_chart(size: int, kind: str, rng: np.random.Generator) -> Values:
    """A zone plate or a Siemens star, around a random point."""
    places = np.arange(size, dtype=np.float32)
    x, y = (places - np.float32(rng.uniform(-0.2, 1.2) * size) for _ in range(2))
    if kind == "zones":  # frequency grows with the distance, to 0.1 ... 0.45 at `size` pixels
        slope = rng.uniform(0.1, 0.45) / size
        phase = make_phase(np.asarray(slope / 2 * (x[None, :] ** 2 + y[:, None] ** 2), np.float32))
        return draw_waves(phase) if rng.random() < 0.6 else draw_bars(phase, 0.5)
    spokes = int(rng.integers(8, 73))
    turn = np.arctan2(y[:, None], x[None, :]) * np.float32(spokes / (2 * np.pi))
    radius = np.maximum(np.hypot(x[None, :], y[:, None]), 0.5)
    phase = Phase(turn, np.asarray(spokes / (2 * np.pi) / radius, np.float32))
    return draw_bars(phase, 0.5) if rng.random() < 0.6 else draw_waves(phase)


def _color_pattern(size: int, coverage: Values, rng: np.random.Generator) -> Values:
    below = draw_background(size, rng) if rng.random() < 0.3 else draw_color(rng)
    above = draw_contrasting_color(below.reshape(-1, 3).mean(axis=0), rng)
    return blend(np.broadcast_to(below, (size, size, 3)), above, coverage)


def _draw_period(least: float, most: float, rng: np.random.Generator) -> float:
    """In pixels, in the middle of the image."""
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def _make_plane(
    size: int, period: float, rng: np.random.Generator, *, upright: bool = False
) -> tuple[Phase, Phase]:
    """Coordinates on a plane that is seen from the front or at an angle.

    upright: turned a little only, as walls are, and mostly in perspective.
    """
    places = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    x, y = places[None, :], places[:, None]
    angle = rng.normal(0, 0.06) if upright else rng.uniform(0, 2 * np.pi)
    if not upright and rng.random() < 0.4:
        angle = 0.0
    across = np.cos(angle) * x + np.sin(angle) * y
    down = np.cos(angle) * y - np.sin(angle) * x
    distance: Values = np.ones((size, size), np.float32)
    if rng.random() < (0.8 if upright else 0.35):
        slant = rng.normal(0, 0.8, 2) * (1.0, 0.5)
        slant *= min(1.0, _SLANT / np.abs(slant).sum())  # no point on or behind the horizon
        distance = np.asarray(1 / (1 + slant[0] * x + slant[1] * y), np.float32)
    periods = size / period
    offsets = rng.uniform(0, _TABLE, 2)
    u, v = (
        make_phase(np.asarray(periods * each * distance + offset, np.float32))
        for each, offset in zip((across, down), offsets, strict=True)
    )
    return u, v


def _fade(coverage: Values, mean: float, frequency: Values) -> Values:
    share = np.clip((_FADES_TO - frequency) / (_FADES_TO - _FADES_FROM), 0, 1)
    return np.asarray(mean + (coverage - mean) * share, np.float32)
