"""How often the look at an input (`sr.inference.suggest_model`) names the right model.

Images of FOLDER are reduced, left clean or degraded (JPEG, JPEG saved again as PNG, noise of
independent channels, gray noise), saved as files, and looked at. With --dists the two models also
upscale a crop of each, and the one with the lower DISTS to the original counts as right; else
"degraded" is right from JPEG quality 80 down, and from noise of 5 levels on.

    python benchmarks/model_choice.py FOLDER... [--count 12] [--reduce 4] [--dists VGG16_WEIGHTS]
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from sr import Upscaler
from sr.inference.suggest_model import look_at_image
from sr.losses.dists import DISTS
from sr.models.bundled import DEFAULT, FOR_DEGRADED

SIDE = 48  # LR pixels of the crop that is upscaled
QUALITIES = (95, 90, 85, 80, 70, 50, 30)
NOISES = (2, 5, 8, 15)
Pixels = npt.NDArray[np.uint8]


def main() -> None:
    """Print a table, a line per degradation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=12, help="images of each folder")
    parser.add_argument(
        "--reduce", type=int, default=4, help="factor of the reduction; of --dists 4"
    )
    parser.add_argument("--dists", type=Path, help="weights of VGG16")
    arguments = parser.parse_args()
    files = [file for folder in arguments.folders for file in _choose(folder, arguments.count)]
    compare = None if arguments.dists is None else _Comparison(arguments.dists)
    rows: dict[str, list[tuple[bool, float, Sequence[float]]]] = {}
    for number, file in enumerate(files):
        with Image.open(file) as image:
            hr, lr = _reduce(image.convert("RGB"), arguments.reduce)
        for name, content in degrade(lr, seed=number):
            started = time.process_time()
            is_degraded = bool(look_at_image(content).reason)
            seconds = time.process_time() - started
            scores = () if compare is None else compare(content, hr)
            rows.setdefault(name, []).append((is_degraded, seconds, scores))
    _print_table(rows, len(files))


def degrade(lr: Pixels, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name of a degradation and a file of the image with it."""
    yield "clean, PNG", _encode(lr)
    for quality in QUALITIES:
        yield f"JPEG {quality}", _encode(lr, "jpeg", quality=quality)
    for quality in QUALITIES:
        with Image.open(BytesIO(_encode(lr, "jpeg", quality=quality))) as image:
            yield f"JPEG {quality} as PNG", _encode(np.asarray(image))
    random = np.random.default_rng(seed)
    for level in NOISES:
        yield f"noise {level}", _encode(_add(lr, random.normal(0, level, lr.shape)))
    for level in NOISES:
        noise = random.normal(0, level, (*lr.shape[:2], 1))
        yield f"gray noise {level}", _encode(_add(lr, noise))


class _Comparison:
    """DISTS of both models' results."""

    def __init__(self, weights: Path) -> None:
        self._models = [
            Upscaler.load(name, device="cpu", precision="fp32") for name in (DEFAULT, FOR_DEGRADED)
        ]
        self._dists = DISTS(weights)

    def __call__(self, content: bytes, hr: Pixels) -> list[float]:
        with Image.open(BytesIO(content)) as image:
            lr = np.asarray(image)
        top, left = (max(side - SIDE, 0) // 16 * 8 for side in lr.shape[:2])
        crop = np.ascontiguousarray(lr[top : top + SIDE, left : left + SIDE])
        original = hr[4 * top : 4 * (top + SIDE), 4 * left : 4 * (left + SIDE)]
        with torch.no_grad():
            return [
                float(self._dists(_to_tensor(model(crop)), _to_tensor(original)))
                for model in self._models
            ]


def _print_table(
    rows: dict[str, list[tuple[bool, float, Sequence[float]]]], num_images: int
) -> None:
    _write(f"| {num_images} images | {FOR_DEGRADED} named | it is better | right | CPU ms |")
    _write("|---|---|---|---|---|")
    for name, found in rows.items():
        named = np.array([each[0] for each in found])
        scores = np.array([each[2] for each in found])
        if scores.size:
            better = scores[:, 1] < scores[:, 0]
            means = f"{better.sum()} (DISTS {scores[:, 0].mean():.3f}, {scores[:, 1].mean():.3f})"
        else:
            kind, _, level = name.replace(" as PNG", "").rpartition(" ")
            bad = (kind == "JPEG" and int(level) <= 80) or ("noise" in kind and int(level) >= 5)
            better, means = np.full(len(found), bad), ""
        milliseconds = 1000 * np.median([each[1] for each in found])
        right = int((named == better).sum())
        _write(f"| {name} | {named.sum()} | {means} | {right} | {milliseconds:.0f} |")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _choose(folder: Path, count: int) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg"))
    return files[:: max(len(files) // count, 1)][:count]


def _reduce(image: Image.Image, factor: int) -> tuple[Pixels, Pixels]:
    """Return the original, cut to multiples of the factor, and the reduced image."""
    width, height = (side // factor * factor for side in image.size)
    image = image.crop((0, 0, width, height))
    lr = image.resize((width // factor, height // factor), Image.Resampling.BICUBIC)
    return np.asarray(image), np.asarray(lr)


def _encode(pixels: Pixels, kind: str = "png", **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _add(lr: Pixels, noise: npt.NDArray[np.float64]) -> Pixels:
    return np.asarray(np.clip(lr + noise, 0, 255).round(), np.uint8)


def _to_tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


if __name__ == "__main__":
    main()
