"""A source of synthetic HR images, which are drawn when needed, each from its own seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from sr.data.imresize import imresize
from sr.data.sources import DataError, Image, Pair, raise_faults
from sr.data.synthetic.colors import to_rgb8
from sr.data.synthetic.fonts import Font, find_fonts
from sr.data.synthetic.graphics import draw_graphics, draw_svg, find_svg_fault
from sr.data.synthetic.patterns import draw_facade, draw_pattern
from sr.data.synthetic.text import draw_text


@dataclass(frozen=True)
class SyntheticImages:
    """An endless source. shares: of text, graphics, svg, patterns and facades, relative."""

    scale: int
    shares: Mapping[str, float]
    text_size: tuple[float, float]
    fonts: Sequence[Font] = field(repr=False)
    svg_files: Sequence[Path] = field(repr=False)
    example_size: int  # pixels, of what `load` gives; `draw` gives any size

    @property
    def name(self) -> str:
        return "synthetic"

    @property
    def hr_size(self) -> tuple[int, int]:
        """Of the example."""
        return self.example_size, self.example_size

    @property
    def num_bytes(self) -> int:
        return 0  # never kept

    def load(self) -> Pair:
        """Return an example: lr (H, W, 3), hr (scale*H, scale*W, 3), both uint8 RGB."""
        _, hr = self.draw(self.example_size, np.random.default_rng(0))
        return imresize(hr, Fraction(1, self.scale)), hr

    def draw(self, size: int, rng: np.random.Generator) -> tuple[str, Image]:
        """Draw one image, (size, size, 3) uint8 RGB, without aliasing. Returns its kind, too."""
        weights = np.array(list(self.shares.values()))
        kind = list(self.shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]
        match kind:
            case "text":
                image = draw_text(size, self.fonts, self.text_size, rng)
            case "graphics":
                image = draw_graphics(size, rng)
            case "svg":
                image = draw_svg(size, self.svg_files, rng)
            case "patterns":
                image = draw_pattern(size, self.scale, rng)
            case _:
                image = draw_facade(size, self.scale, rng)
        return kind, to_rgb8(image)


def find_synthetic(
    scale: int,
    shares: Mapping[str, float],
    text_size: tuple[float, float],
    font_folders: Sequence[Path],
    svg_folders: Sequence[Path],
    example_size: int,
) -> SyntheticImages:
    """Find fonts and SVG files. Raises DataError for folders without any and damaged files."""
    used = {kind: share for kind, share in shares.items() if share}
    files = [path for folder in svg_folders for path in sorted(folder.rglob("*.svg"))]
    if svg_folders and not files:
        raise DataError(f"{', '.join(map(str, svg_folders))}: expected SVG files, got none")
    raise_faults("SVG files", [fault for path in files if (fault := find_svg_fault(path))])
    fonts = find_fonts(font_folders) if "text" in used else []
    return SyntheticImages(scale, used, text_size, fonts, files, example_size)
