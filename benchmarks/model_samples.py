"""Make the samples of the page's list of models: a part of a photograph enlarged, and the result.

    python benchmarks/model_samples.py

They go to sr/web/samples, one WebP a bundled model for images. The photograph is "Casa Mila" of
datasets/samples (CC0-1.0); for the models for degraded photographs it is blurred and saved as JPEG
before. For the model for graphics it is rendered text, as JPEG.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from which_model import compress, draw_text

from sr import Upscaler
from sr.models.bundled import BUNDLED, FOR_DEGRADED, SMALL_FOR_DEGRADED
from sr.web.model_cards import SAMPLES

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "datasets" / "samples" / "casa-mila.png"
SIDE, GAP = 224, 8  # pixels
CORNER = (60, 40)  # left and top of the part
GRAPHICS = "graphics_x4"


def main() -> None:
    """Write all samples."""
    SAMPLES.mkdir(exist_ok=True)
    with Image.open(PHOTOGRAPH) as opened:
        photograph = opened.convert("RGB")
    for bundled in BUNDLED:
        if not bundled.read_facts().takes_clips:
            sample = make_sample(bundled.name, *choose_source(bundled.name, photograph))
            sample.save(SAMPLES / f"{bundled.name}.webp", quality=85)


def choose_source(name: str, photograph: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
    """Return what suits the model, and left and top of the part of it."""
    if name == GRAPHICS:
        return compress(draw_text(), quality=60), (0, 0)
    is_for_degraded = name in (FOR_DEGRADED, SMALL_FOR_DEGRADED)
    return degrade(photograph) if is_for_degraded else photograph, CORNER


def make_sample(name: str, source: Image.Image, corner: tuple[int, int]) -> Image.Image:
    """Return the part, enlarged without a model, and the model's result at its right."""
    upscaler = Upscaler.load(name, device="cpu")
    side = SIDE // upscaler.scale
    box = (*corner, corner[0] + side, corner[1] + side)
    result = Image.fromarray(np.asarray(upscaler(np.asarray(source))))
    left, top = (upscaler.scale * each for each in corner)
    sheet = Image.new("RGB", (2 * SIDE + GAP, SIDE), "white")
    sheet.paste(source.crop(box).resize((SIDE, SIDE), Image.Resampling.NEAREST), (0, 0))
    sheet.paste(result.crop((left, top, left + SIDE, top + SIDE)), (SIDE + GAP, 0))
    return sheet


def degrade(image: Image.Image) -> Image.Image:
    """Return an image as it comes from the web: a little blurred, JPEG of quality 40."""
    return compress(image.filter(ImageFilter.GaussianBlur(0.6)), quality=40)


if __name__ == "__main__":
    main()
