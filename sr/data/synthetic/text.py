"""Text as on pages, screens and signs."""

from collections.abc import Sequence
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr.data.synthetic.colors import (
    Color,
    Values,
    blend,
    draw_background,
    draw_contrasting_color,
    estimate_mean_color,
)
from sr.data.synthetic.fonts import Font, load_font

_OVERSAMPLING = 2  # of what FreeType, which smooths edges itself, draws
_SCREEN_CHANCE = 0.4  # of text drawn at its final size, hinted, as screens show it
_WARP_CHANCE = 0.4  # of the rest: turned and in perspective, as in photographs
_LETTERS = {
    "latin": ("bcdfghjklmnprstvwz", "aeiouy"),
    "accents": ("bcdfghlmn\u00f1prst\u00e7v", "aeiou\u00e9\u00e8\u00fc\u00f6\u00e4\u00e5\u00ed"),
    "cyrillic": (
        "\u0431\u0432\u0433\u0434\u0436\u0437\u043a\u043b\u043c\u043d\u043f\u0440\u0441\u0442\u0444\u0445\u0446\u0447\u0448",
        "\u0430\u0435\u0438\u043e\u0443\u044b\u044f",
    ),
    "greek": (
        "\u03b2\u03b3\u03b4\u03b6\u03b8\u03ba\u03bb\u03bc\u03bd\u03be\u03c0\u03c1\u03c3\u03c4\u03c6\u03c7\u03c8",
        "\u03b1\u03b5\u03b7\u03b9\u03bf\u03c5\u03c9",
    ),
}
_LINES = 8  # drawn on a page; further ones are copies
_STOPS = ",.,.:?!"
_SIGNS = ["%", "&", "->", "/", "=", "+", "*", "#", "@", "{}", "();", "[0]", "==", "!=", "|", "~"]


def draw_text(
    size: int, fonts: Sequence[Font], sizes: tuple[float, float], rng: np.random.Generator
) -> Values:
    """A page, or lines here and there on panels. sizes: of the em square, in pixels, from and to.

    Returns (size, size, 3), RGB in 8-bit levels.
    """
    font = fonts[int(rng.integers(len(fonts)))]
    script = str(rng.choice(font.scripts)) if rng.random() < 0.4 else "latin"
    em = float(np.exp(rng.uniform(*np.log(sizes))))
    image = draw_background(size, rng)
    if rng.random() < 0.65:
        coverage = _warp(*_page(size, font, script, em, rng), rng)
        return blend(image, draw_contrasting_color(estimate_mean_color(image), rng), coverage)
    return _panels(image, font, script, em, rng)


def make_words(count: int, script: str, rng: np.random.Generator) -> str:
    """Words that can be pronounced, numbers, and signs as in formulas, prices and code."""
    case = rng.choice(["lower", "title", "upper", "code"], p=[0.5, 0.2, 0.15, 0.15])
    words = []
    for _ in range(count):
        kind = rng.random()
        if kind < (0.35 if case == "code" else 0.04):
            words.append(_SIGNS[int(rng.integers(len(_SIGNS)))])
        elif kind < 0.18:
            words.append(_make_number(rng))
        else:
            words.append(_word(script, rng))
    text = " ".join(words)
    if case == "title":
        return text.title()
    return text.upper() if case == "upper" else text


def _word(script: str, rng: np.random.Generator) -> str:
    consonants, vowels = _LETTERS[script]
    length, end, stop, *picks = rng.random(11).tolist()
    word = ""
    for index in range(1 + int(4 * length)):
        word += consonants[int(picks[2 * index] * len(consonants))]
        word += vowels[int(picks[2 * index + 1] * len(vowels))]
    if end < 0.5:
        word += consonants[int(2 * end * len(consonants))]
    return word + (_STOPS[int(stop * 5 * len(_STOPS))] if stop < 0.2 else "")


def _make_number(rng: np.random.Generator) -> str:
    whole = int(10 ** rng.uniform(0, 5))
    forms = (f"{whole}", f"{whole / 100:.2f}", f"${whole}", f"{whole % 24}:{whole % 60:02d}")
    return forms[int(rng.integers(len(forms)))]


def _page(
    size: int, font: Font, script: str, em: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], int]:
    """Lines of text from edge to edge. Returns coverage, (n*size, n*size), 0 to 255, and n."""
    n = 1 if rng.random() < _SCREEN_CHANCE else _OVERSAMPLING
    drawn = load_font(font.path, max(round(em * n), 1))
    page = Image.new("L", (n * size, n * size))
    draw = ImageDraw.Draw(page)
    pitch = em * n * rng.uniform(1.1, 1.7)
    indent = n * size * rng.uniform(-0.2, 0.25)
    top = -rng.uniform(0, pitch)  # of the first line
    words = 2 + ceil(size / (3 * em))  # a word and its blank are about 3 em wide
    tops = np.arange(top, n * size, pitch)
    for top in tops[:_LINES]:
        if rng.random() < 0.93:  # else an empty line
            _draw_line(draw, (indent, top), make_words(words, script, rng), drawn)
    coverage = np.array(page)
    if len(tops) > _LINES:
        _repeat_lines(coverage, round(tops[1] + 0.15 * em * n), round((_LINES - 1) * pitch), rng)
    return coverage, n


def _repeat_lines(page: NDArray[np.uint8], top: int, height: int, rng: np.random.Generator) -> None:
    """Copy a block of lines down the page, each time moved to the left, in place; far cheaper than
    drawing others. top: where its first line begins, below what reaches down from the line above.
    """
    for target in range(top + height, len(page), height):
        moved = int(rng.integers(1, len(page) // 2))
        block = page[top : top + min(height, len(page) - target), moved:]
        page[target : target + len(block)] = 0
        page[target : target + len(block), : len(page) - moved] = block


def _draw_line(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, font: ImageFont.FreeTypeFont
) -> None:
    draw.text((round(place[0]), round(place[1])), text, fill=255, font=font)


def _warp(coverage: NDArray[np.uint8], n: int, rng: np.random.Generator) -> Values:
    """Now and then in perspective; then at a n-th of the size. Returns coverage, 0 to 1."""
    if n > 1 and rng.random() < _WARP_CHANCE:
        side = len(coverage)
        corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
        angle = rng.normal(0, 0.15) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = (corners - side / 2) @ turn.T * rng.uniform(1.0, 1.2) + side / 2
        moved += rng.uniform(-0.12, 0.12, (4, 2)) * side
        matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
        coverage = np.asarray(cv2.warpPerspective(coverage, matrix, (side, side)), np.uint8)
    if n > 1:
        small = len(coverage) // n
        shrunk = cv2.resize(coverage, (small, small), interpolation=cv2.INTER_AREA)
        coverage = np.asarray(shrunk, np.uint8)
    return np.divide(coverage, 255, dtype=np.float32)


def _panels(image: Values, font: Font, script: str, em: float, rng: np.random.Generator) -> Values:
    """Short lines on panels, as buttons, signs and labels."""
    size = len(image)
    n = _OVERSAMPLING
    for _ in range(int(rng.integers(2, 8))):
        own = float(np.clip(em * rng.uniform(0.7, 1.5), 9, size / 2))
        drawn = load_font(font.path, max(round(own * n), 1))
        text = make_words(int(rng.integers(1, 4)), script, rng)
        box = drawn.getbbox(text)
        pad = round(own * n * rng.uniform(0.2, 0.8))
        width, height = (
            -(-(round(box[2 + axis] - box[axis]) + 2 * pad) // n) * n for axis in (0, 1)
        )
        label = Image.new("L", (width, height))
        _draw_line(ImageDraw.Draw(label), (pad - box[0], pad - box[1]), text, drawn)
        place = rng.uniform(-0.2, 0.9, 2) * size
        _paste(image, (round(place[0]), round(place[1])), np.asarray(label), n, rng)
    return image


def _paste(
    image: Values,
    place: tuple[int, int],
    label: NDArray[np.uint8],
    n: int,
    rng: np.random.Generator,
) -> None:
    """label: coverage at n times its size."""
    size = len(image)
    height, width = (side // n for side in label.shape)
    coverage = cv2.resize(label, (width, height), interpolation=cv2.INTER_AREA)
    top, left = max(place[0], 0), max(place[1], 0)
    bottom, right = min(place[0] + height, size), min(place[1] + width, size)
    if bottom <= top or right <= left:
        return
    seen = coverage[top - place[0] : bottom - place[0], left - place[1] : right - place[1]]
    region = image[top:bottom, left:right]
    panel: Color = draw_contrasting_color(estimate_mean_color(region), rng)
    if rng.random() < 0.7:
        region[:] = panel
        panel = draw_contrasting_color(panel, rng)
    region[:] = blend(region, panel, seen.astype(np.float32) / 255)
