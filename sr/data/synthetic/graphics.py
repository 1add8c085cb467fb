"""Vector graphics: shapes, line art, charts and SVG files, drawn larger and averaged down."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray

from sr.data.synthetic.colors import (
    Values,
    draw_background,
    draw_color,
    draw_contrasting_color,
    draw_gradient,
    estimate_mean_color,
)

_OVERSAMPLING = 2  # of what OpenCV draws with smooth edges
_SHIFT = 4  # cv2's coordinates are in 1/16 of an oversampled pixel

Canvas = NDArray[np.uint8]
Points = NDArray[np.float64]


def draw_graphics(size: int, rng: np.random.Generator) -> Values:
    """Draw 4 to 14 shapes on a background. Returns (size, size, 3), RGB in 8-bit levels."""
    n = _OVERSAMPLING
    image = draw_background(size, rng)
    canvas = np.clip(image, 0, 255).astype(np.uint8)
    larger = cv2.resize(canvas, (n * size, n * size), interpolation=cv2.INTER_NEAREST)
    canvas = np.asarray(larger, np.uint8)  # averaged down to what it was
    background = estimate_mean_color(image)
    for _ in range(int(rng.integers(4, 15))):
        draw = _SHAPES[int(rng.integers(len(_SHAPES)))]
        color = draw_color(rng) if rng.random() < 0.3 else draw_contrasting_color(background, rng)
        if rng.random() < 0.15:
            _fill_with_gradient(canvas, draw, rng)
        else:
            draw(canvas, tuple(map(float, color)), rng)
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def draw_svg(size: int, files: Sequence[Path], rng: np.random.Generator) -> Values:
    """Draw one of the files at a random place and size, up to twice as large as the image.

    Returns (size, size, 3), RGB in 8-bit levels.
    """
    n = _OVERSAMPLING
    path = files[int(rng.integers(len(files)))]
    side = round(n * size * rng.uniform(0.4, 2.0))
    drawing = pyvips.Image.thumbnail(str(path), side, height=side).colourspace("srgb")
    if not drawing.hasalpha():
        drawing = drawing.addalpha()
    left, top = (
        int(rng.integers(min(0, n * size - own), max(0, n * size - own) + 1))
        for own in (drawing.width, drawing.height)
    )
    rgba = (
        drawing.embed(left, top, n * size, n * size).numpy()
        if min(left, top) >= 0
        else (_place(drawing, left, top, n * size))
    )
    alpha = rgba[..., 3:].astype(np.float32) / 255
    layer = np.concatenate([rgba[..., :3] * alpha, 255 * alpha], axis=2)  # premultiplied
    small = np.asarray(cv2.resize(layer, (size, size), interpolation=cv2.INTER_AREA), np.float32)
    image = draw_background(size, rng)
    return np.asarray(image * (1 - small[..., 3:] / 255) + small[..., :3], np.float32)


def find_svg_fault(path: Path) -> str | None:
    """Return why a file cannot be drawn, or None; only its header is read."""
    try:
        pyvips.Image.new_from_file(str(path))
    except pyvips.Error as error:
        return f"{path}: expected an SVG file: {str(error).strip().splitlines()[-1]}"
    return None


def _place(drawing: Any, left: int, top: int, side: int) -> NDArray[np.uint8]:
    """Cut out the part of a drawing within a square window, (side, side, 4)."""
    inside = drawing.numpy()[max(-top, 0) :, max(-left, 0) :][:side, :side]
    window = np.zeros((side, side, 4), np.uint8)
    first, start = max(top, 0), max(left, 0)
    inside = inside[: side - first, : side - start]
    window[first : first + inside.shape[0], start : start + inside.shape[1]] = inside
    return window


def _fill_with_gradient(
    canvas: Canvas, draw: Callable[[Canvas, Any, np.random.Generator], None], rng: Any
) -> None:
    mask = np.zeros(canvas.shape[:2], np.uint8)
    draw(mask, 255.0, rng)
    ramp = draw_gradient(64, draw_color(rng), draw_color(rng), rng)
    side = len(canvas)
    fill = cv2.resize(ramp.astype(np.uint8), (side, side), interpolation=cv2.INTER_LINEAR)
    cv2.copyTo(fill, mask, canvas)


def _line_width(canvas: Canvas, rng: np.random.Generator) -> int:
    """Draw a width in oversampled pixels: from 1 HR pixel to a thirtieth of the image."""
    return round(float(np.exp(rng.uniform(np.log(_OVERSAMPLING), np.log(len(canvas) / 30 + 3)))))


def _center(canvas: Canvas, rng: np.random.Generator) -> Points:
    return rng.uniform(-0.05, 1.05, 2) * len(canvas)


def _radius(canvas: Canvas, rng: np.random.Generator) -> float:
    return len(canvas) * float(np.exp(rng.uniform(np.log(0.03), np.log(0.4))))


def _to_fixed_point(points: Points) -> NDArray[np.int32]:
    return np.asarray(np.round(points * 2**_SHIFT), np.int32)


def _fill_or_outline(canvas: Canvas, points: Points, color: Any, rng: np.random.Generator) -> None:
    if rng.random() < 0.6:
        cv2.fillPoly(canvas, [_to_fixed_point(points)], color, cv2.LINE_AA, _SHIFT)
    else:
        width = _line_width(canvas, rng)
        cv2.polylines(canvas, [_to_fixed_point(points)], True, color, width, cv2.LINE_AA, _SHIFT)


def _polygon(canvas: Canvas, color: Any, rng: np.random.Generator) -> None:
    """A regular polygon, a star or an irregular one."""
    corners = int(rng.integers(3, 9))
    radii = np.ones(corners)
    if rng.random() < 0.4:
        radii = np.tile([1.0, rng.uniform(0.3, 0.7)], corners)
    elif rng.random() < 0.4:
        radii = rng.uniform(0.4, 1.0, corners)
    angles = 2 * np.pi * (np.arange(len(radii)) / len(radii) + rng.random())
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    points = _center(canvas, rng) + _radius(canvas, rng) * radii[:, None] * directions
    _fill_or_outline(canvas, points, color, rng)


def _rectangle(canvas: Canvas, color: Any, rng: np.random.Generator) -> None:
    """Rounded or not; half of them turned."""
    half = np.array([_radius(canvas, rng), _radius(canvas, rng)])
    corner = min(half) * (rng.uniform(0, 1) if rng.random() < 0.5 else 0)
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False) + np.pi / 64
    rounding = np.column_stack([np.cos(angles), np.sin(angles)])
    points = np.sign(rounding) * (half - corner) + corner * rounding
    turn = rng.uniform(0, np.pi) if rng.random() < 0.5 else 0.0
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    _fill_or_outline(canvas, points @ matrix.T + _center(canvas, rng), color, rng)


def _ellipse(canvas: Canvas, color: Any, rng: np.random.Generator) -> None:
    """Whole, or a sector or arc of it."""
    center = tuple(map(int, _to_fixed_point(_center(canvas, rng))))
    radius = _radius(canvas, rng)
    axes = tuple(map(int, _to_fixed_point(np.array([radius, radius * rng.uniform(0.3, 1.0)]))))
    first, last = (0.0, 360.0) if rng.random() < 0.7 else tuple(sorted(rng.uniform(0, 360, 2)))
    width = -1 if rng.random() < 0.5 else _line_width(canvas, rng)
    angle = rng.uniform(0, 180)
    cv2.ellipse(canvas, center, axes, angle, first, last, color, width, cv2.LINE_AA, _SHIFT)


def _curve(canvas: Canvas, color: Any, rng: np.random.Generator) -> None:
    """A cubic Bezier curve; a third of them several side by side, as hair or wires."""
    t = np.linspace(0, 1, 48)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    controls = rng.uniform(-0.2, 1.2, (4, 2)) * len(canvas)
    width = _line_width(canvas, rng)
    step = rng.normal(0, 1, (4, 2)) * width * 1.5
    for index in range(int(rng.integers(3, 9)) if rng.random() < 0.35 else 1):
        points = _to_fixed_point(weights @ (controls + index * step))
        cv2.polylines(canvas, [points], False, color, width, cv2.LINE_AA, _SHIFT)


def _rings(canvas: Canvas, color: Any, rng: np.random.Generator) -> None:
    """Concentric circles."""
    center = tuple(map(int, _to_fixed_point(_center(canvas, rng))))
    width = _line_width(canvas, rng)
    pitch = width * rng.uniform(2.0, 4.0)
    for index in range(1, int(rng.integers(3, 10))):
        radius = int(_to_fixed_point(np.array(index * pitch)))
        cv2.circle(canvas, center, radius, color, width, cv2.LINE_AA, _SHIFT)


def _fan(canvas: Canvas, color: Any, rng: np.random.Generator) -> None:
    """Lines through a point: rays, spokes, twigs."""
    center = _center(canvas, rng)
    width = _line_width(canvas, rng)
    for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(3, 12))):
        end = center + len(canvas) * rng.uniform(0.1, 1) * np.array([np.cos(angle), np.sin(angle)])
        points = _to_fixed_point(np.stack([center, end]))
        cv2.polylines(canvas, [points], False, color, width, cv2.LINE_AA, _SHIFT)


def _chart(canvas: Canvas, color: Any, rng: np.random.Generator) -> None:
    """A line or the bars of a chart."""
    count = int(rng.integers(5, 25))
    across = np.linspace(rng.uniform(-0.1, 0.4), rng.uniform(0.6, 1.1), count) * len(canvas)
    down = (rng.uniform(0.2, 0.8) + 0.15 * np.cumsum(rng.normal(0, 0.5, count))) * len(canvas)
    if rng.random() < 0.5:
        points = [_to_fixed_point(np.column_stack([across, down]))]
        cv2.polylines(canvas, points, False, color, _line_width(canvas, rng), cv2.LINE_AA, _SHIFT)
        return
    half = (across[1] - across[0]) * rng.uniform(0.15, 0.45)
    foot = len(canvas) * rng.uniform(0.6, 1.0)
    for x, y in zip(across, down, strict=True):
        bar = np.array([[x - half, y], [x + half, y], [x + half, foot], [x - half, foot]])
        cv2.fillPoly(canvas, [_to_fixed_point(bar)], color, cv2.LINE_AA, _SHIFT)


_SHAPES = (_polygon, _rectangle, _ellipse, _curve, _curve, _rings, _fan, _chart)
