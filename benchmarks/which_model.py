"""Make docs/which_model.jpg: for each kind of image bicubic next to the models to take.

    python benchmarks/which_model.py docs/which_model.jpg

Models that are not bundled are downloaded, as `infer.py -m` does. The inputs are made here: a clean
photograph of datasets/samples, one as phones and web sites leave it (smaller, JPEG), rendered text
and a drawing, both as JPEG.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sr import Upscaler

SAMPLES = Path(__file__).parents[1] / "datasets" / "samples"
SIDE = 60  # LR pixels
SCALE = 4
LINE = (40, 25, 40)
MODELS = {
    "clean": ("span_x4", "compact_tiny_x4"),
    "photo": ("compact_real_x4", "realesr-general-x4v3"),
    "text": ("span_x4", "graphics_x4"),
    "anime": ("span_x4", "realesrgan-x4plus-anime-6b"),
}


def main() -> None:
    """Write the sheet: a row per kind, its columns bicubic and the models of `MODELS`."""
    inputs = {
        "clean": crop_photo("oakland-zoo-otters.png", (0.3, 0.25)),
        "photo": compress(crop_photo("casa-mila.png", (0.45, 0.4))),
        "text": compress(draw_text(), quality=60),
        "anime": compress(draw_face(), quality=75),
    }
    rows = []
    for kind, lr in inputs.items():
        side = SIDE * SCALE
        cells = [lr.resize((side, side), Image.Resampling.BICUBIC)]
        cells += [Upscaler.load(name)(lr) for name in MODELS[kind]]
        rows.append(np.concatenate([np.asarray(cell.convert("RGB")) for cell in cells], axis=1))
    Image.fromarray(np.concatenate(rows)).save(sys.argv[1], quality=92)


def crop_photo(name: str, corner: tuple[float, float]) -> Image.Image:
    """Return SIDE x SIDE pixels of a sample. corner: shares of its size, from left and top."""
    with Image.open(SAMPLES / name) as image:
        small = image.convert("RGB")
    left, top = (
        round(share * (size - SIDE)) for share, size in zip(corner, small.size, strict=True)
    )
    return small.crop((left, top, left + SIDE, top + SIDE))


def compress(image: Image.Image, quality: int = 45) -> Image.Image:
    """Return the image after JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def draw_text() -> Image.Image:
    """Return lines of text of several sizes, without aliasing."""
    large = Image.new("RGB", (SIDE * 4, SIDE * 4), "white")
    draw = ImageDraw.Draw(large)
    top = 4
    for size, words in ((40, "Aa Bb 123"), (48, "Super"), (56, "resolve"), (64, "x4 = 16")):
        font = ImageFont.load_default(size)
        draw.text((6, top), words, font=font, fill=(20, 20, 60))
        top += size
    return large.reduce(4)


def draw_face() -> Image.Image:
    """Return a drawing of flat colors and dark lines, as those of animation."""
    size = SIDE * 8
    large = Image.new("RGB", (size, size), (150, 200, 235))
    draw = ImageDraw.Draw(large)
    draw.ellipse((40, 10, 440, 420), fill=(90, 50, 120), outline=LINE, width=10)  # hair
    draw.ellipse((95, 90, 385, 440), fill=(250, 220, 195), outline=LINE, width=10)
    draw.polygon(
        [(90, 230), (130, 70), (240, 60), (190, 190)], fill=(90, 50, 120), outline=LINE, width=10
    )
    draw.polygon(
        [(390, 230), (350, 70), (230, 60), (300, 190)], fill=(90, 50, 120), outline=LINE, width=10
    )
    for left in (135, 265):
        draw.ellipse((left, 230, left + 80, 340), fill="white", outline=LINE, width=10)
        draw.ellipse((left + 18, 245, left + 66, 335), fill=(60, 110, 60))
        draw.ellipse((left + 30, 265, left + 56, 320), fill=(20, 25, 30))
        draw.ellipse((left + 28, 258, left + 44, 276), fill="white")
    draw.arc((200, 340, 280, 400), 20, 160, fill=(120, 40, 50), width=9)
    return large.reduce(8)


if __name__ == "__main__":
    main()
