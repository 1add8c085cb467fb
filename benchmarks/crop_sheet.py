"""Make a sheet of fixed crops: what each model makes of windows, faces, text, sky and JPEG.

    python benchmarks/crop_sheet.py FOLDER OUT.png [-m MODEL ...] [--rows windows eye ...]

FOLDER has Set14/HR and BSD100/HR. A model is the name of a bundled one or any file that infer.py
accepts; the default are all bundled models of scale 4 for single images. LR is made by MATLAB's
bicubic downscaling, and saved as JPEG where the row says so; whole images are upscaled. Columns:
bicubic, the models, the original; each HR pixel is shown as ZOOM x ZOOM.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont
from quality_methods import Method, bundled_models, load_methods, with_bicubic
from which_model import compress

from sr.data.hr_only import HRImage
from sr.data.sources import Image, Pair
from sr.device import resolve_device
from sr.io.rgb8 import image_to_tensor, read_size, tensor_to_rgb8

SIDE = 112  # HR pixels
GAP = 6  # pixels between crops
TITLE_HEIGHT = 22
FONT = ImageFont.load_default(14)


@dataclass(frozen=True)
class Crop:
    """A square of an HR image, of SIDE pixels."""

    image: str
    left: int
    top: int
    quality: int | None = None
    """Of the JPEG that lr is; None: lr is not compressed."""

    def cut(self, image: Image) -> Image:
        """image: of HR's size."""
        return image[self.top : self.top + SIDE, self.left : self.left + SIDE]


CROPS: Mapping[str, Crop] = {
    "windows": Crop("BSD100/HR/img_003.png", 80, 150),
    "facade": Crop("BSD100/HR/img_011.png", 330, 20),
    "railing": Crop("Set14/HR/img_003.png", 180, 110),
    "eye": Crop("Set14/HR/img_009.png", 236, 236),
    "skin": Crop("BSD100/HR/img_063.png", 96, 110),
    "hair": Crop("Set14/HR/img_006.png", 30, 20),
    "text": Crop("Set14/HR/img_013.png", 24, 62),
    "small text": Crop("Set14/HR/img_013.png", 24, 236),
    "sky": Crop("BSD100/HR/img_067.png", 186, 130),
    "foliage": Crop("BSD100/HR/img_086.png", 150, 30),
    "person, JPEG 30": Crop("BSD100/HR/img_024.png", 350, 50, quality=30),
    "text, JPEG 30": Crop("Set14/HR/img_013.png", 24, 62, quality=30),
    "windows, JPEG 60": Crop("BSD100/HR/img_003.png", 80, 150, quality=60),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sheet. arguments: None for the command line's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with Set14/HR and BSD100/HR")
    parser.add_argument("output", type=Path)
    parser.add_argument("-m", "--model", type=Path, nargs="+", help="of one scale")
    parser.add_argument("--rows", nargs="+", choices=CROPS, metavar="ROW", default=list(CROPS))
    parser.add_argument("--zoom", type=int, default=2, help="size of an HR pixel in the sheet")
    given = parser.parse_args(arguments)
    try:
        models = given.model or bundled_models(scale=4)
        by_scale = with_bicubic(load_methods(models, resolve_device("cpu"), "fp32"))
        methods, *others = by_scale.values()
        if others:
            parser.error(f"-m: expected models of one scale, got {', '.join(map(str, by_scale))}")
        rows = {name: make_row(CROPS[name], given.folder, methods) for name in given.rows}
    except (OSError, ValueError) as error:
        parser.error(str(error))
    titles = [*(method.name for method in methods), "original"]
    arrange(rows, titles, given.zoom).save(given.output)


def make_row(crop: Crop, folder: Path, methods: Sequence[Method]) -> list[Image]:
    """Return the crop of each method's result, and of the original."""
    lr, hr = load_pair(crop, folder, methods[0].scale)
    results = [tensor_to_rgb8(method.module(image_to_tensor(lr))) for method in methods]
    return [crop.cut(image) for image in (*results, hr)]


def load_pair(crop: Crop, folder: Path, scale: int) -> Pair:
    """Return the whole images."""
    path = folder / crop.image
    lr, hr = HRImage(path, scale, 1.0, read_size(path)).load()
    if crop.quality is not None:
        lr = np.asarray(compress(Pictures.fromarray(lr), crop.quality))
    return lr, hr


def arrange(
    rows: Mapping[str, Sequence[Image]], titles: Sequence[str], zoom: int
) -> Pictures.Image:
    """Return one sheet: titles above the columns, each row's name above its first crop."""
    side = SIDE * zoom
    size = (len(titles) * (side + GAP) - GAP, len(rows) * (side + TITLE_HEIGHT) + TITLE_HEIGHT)
    sheet = Pictures.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((column * (side + GAP), 2), title, "black", FONT)
    for number, (name, crops) in enumerate(rows.items()):
        top = TITLE_HEIGHT + number * (side + TITLE_HEIGHT)
        draw.text((0, top + 2), name, "gray", FONT)
        for column, crop in enumerate(crops):
            enlarged = crop.repeat(zoom, axis=0).repeat(zoom, axis=1)
            sheet.paste(Pictures.fromarray(enlarged), (column * (side + GAP), top + TITLE_HEIGHT))
    return sheet


if __name__ == "__main__":
    main()
