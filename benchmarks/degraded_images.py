"""A fixed test set of badly degraded images, made by the pipeline of training for real images.

What is done to an image follows from a seed and its file's name alone, whatever other images
there are. Codecs and resizing are OpenCV's, so another version of it may change a level here and
there; the folder that `save_lr` writes does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from sr.build_data import build_degradation
from sr.data.degraded_image import DegradedImage
from sr.data.hr_only import find_hr_images
from sr.data.random_degradation import Degradation, degrade, draw_plan
from sr.data.sources import Pair, Source
from sr.io.rgb8 import write_rgb8
from sr.options.degradations import DegradationOptions

KINDS = ("Light", "Real", "RealESRGAN")


@dataclass(frozen=True)
class BlindlyDegraded(DegradedImage):
    """An hr file, and its lr by a degradation that is drawn from a seed and the file's name.

    degradation: it may leave images clean.
    """

    seed: int

    def load(self) -> Pair:
        """lr: (H, W, 3), hr: (scale*H, scale*W, 3), both uint8 RGB."""
        lr, hr = self.image.load()
        digest = sha256(self.image.path.name.encode()).digest()
        rng = np.random.default_rng((self.seed, int.from_bytes(digest[:8], "big")))
        plan = draw_plan(self.degradation, rng)
        return (lr if plan is None else degrade(hr, plan, self.image.scale, rng)), hr


def degradation_of(kind: str) -> Degradation:
    """With the ranges of training, but for its share of images that are left clean: none here."""
    adapter: TypeAdapter[DegradationOptions] = TypeAdapter(DegradationOptions)
    return build_degradation(adapter.validate_python({"type": kind, "clean_probability": 0}))


def find_blindly_degraded(
    hr: Path, scale: int, degradation: Degradation, seed: int
) -> list[Source[Any]]:
    """Every image of a folder. Raises DataError naming all faults."""
    found = find_hr_images((hr,), scale, (), (1.0,))
    return [BlindlyDegraded(image, degradation, seed) for image in found]


def save_lr(folder: Path, sources: Iterable[Source[Any]]) -> None:
    """Write the lr images as PNG files under the names of the hr ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        lr, _ = source.load()
        write_rgb8(folder / f"{Path(source.name).stem}.png", lr)
