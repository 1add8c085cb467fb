"""Make two test sets of graphics for quality.py: as they are, and with LR as JPEG of quality 60.

    python benchmarks/graphics_set.py BENCHMARKS OUT
    python benchmarks/quality.py OUT --sets graphics graphics_jpeg -m graphics_x4 span_x4

Pages of text, black on white and light on dark, in four fonts of 28 to 56 pixels (7 to 14 in LR);
parts of a plot and of a screenshot in docs; the comic and the cover of Set14. BENCHMARKS has
Set14/HR. Needs the fonts DejaVu, Liberation and Roboto (Debian: fonts-dejavu-core,
fonts-liberation, fonts-roboto-unhinted).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont
from which_model import compress

from sr.data.imresize import imresize
from sr.data.sources import Image
from sr.io.rgb8 import write_rgb8

LINES = {
    "DejaVuSans.ttf": "The quick brown fox jumps over the lazy dog",
    "LiberationSerif-Regular.ttf": "Invoice 2026-11-30: 1,482.75 EUR (19 % VAT)",
    "Roboto-Regular.ttf": "def upscale(image, scale=4): return model(image)",
    "DejaVuSansMono.ttf": "Pack my box with five dozen liquor jugs?",
}
SIZES = (28, 36, 44, 56)  # HR pixels
PAGE = (800, 960)  # width, height
THEMES = {"text_light": ("white", "black"), "text_dark": ("#202830", "#d0d8e0")}
DOCS = Path(__file__).resolve().parents[1] / "docs"
PARTS = {"span_curves.png": (0, 0, 640, 288), "web_training.webp": (200, 100, 840, 500)}
OF_SET14 = ("img_005.png", "img_013.png")
QUALITY = 60


def main() -> None:
    """Write both sets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("benchmarks", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    folders = [given.output / part for part in ("graphics/HR", "graphics_jpeg/HR")]
    compressed = given.output / "graphics_jpeg" / "LR_x4"
    for folder in (*folders, compressed):
        folder.mkdir(parents=True, exist_ok=True)
    for name, hr in make_images(given.benchmarks):
        for folder in folders:
            write_rgb8(folder / f"{name}.png", hr)
        lr = Pictures.fromarray(imresize(hr, 0.25))
        write_rgb8(compressed / f"{name}.png", np.asarray(compress(lr, QUALITY)))


def make_images(benchmarks: Path) -> Iterator[tuple[str, Image]]:
    """Yield names and images, (H, W, 3), H and W multiples of 4."""
    for name, colors in THEMES.items():
        yield name, draw_page(*colors)
    for file, box in PARTS.items():
        yield Path(file).stem, read(DOCS / file, box)
    for file in OF_SET14:
        yield Path(file).stem, read(benchmarks / "Set14" / "HR" / file)


def draw_page(background: str, color: str) -> Image:
    """Write each line in its font and in each size."""
    page = Pictures.new("RGB", PAGE, background)
    draw = ImageDraw.Draw(page)
    top = 10.0
    for size in SIZES:
        for font, line in LINES.items():
            draw.text((12, top), line, color, ImageFont.truetype(font, size))
            top += 1.4 * size
        top += 8
    return np.asarray(page)


def read(file: Path, box: tuple[int, int, int, int] | None = None) -> Image:
    """Return a part, or the whole without what is beyond multiples of 4."""
    with Pictures.open(file) as opened:
        width, height = (side // 4 * 4 for side in opened.size)
        return np.asarray(opened.convert("RGB").crop(box or (0, 0, width, height)))


if __name__ == "__main__":
    main()
