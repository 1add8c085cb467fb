"""The training data set: an lr/hr crop for each draw of the sampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import cv2
import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from sr.data.augment import Image, Pair, cut, random_orientation, random_place
from sr.data.cache import Cached
from sr.data.random_degradation import Degradation, degrade, draw_plan
from sr.data.sampler import Draw
from sr.data.sources import Source, raise_faults
from sr.io.rgb8 import image_to_tensor


class Crop(TypedDict):
    """One sample; collated, a batch of them, (B, ...). `neighbors`, `flows` and `motion` are of
    clips alone."""

    lr: Tensor  # (3, h, w) in [0, 1]
    hr: Tensor  # (3, scale*h, scale*w) in [0, 1]
    name: str
    neighbors: NotRequired[Tensor]  # (n, 3, h, w) in [0, 1]
    flows: NotRequired[Tensor]  # (n, 2, h, w), LR pixels
    motion: NotRequired[Tensor]  # (2, scale*h, scale*w), HR pixels; of two samples together
    zoomed: NotRequired[Tensor]  # (3, h, w) in [0, 1], a part of hr; see zoomed_crops


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn: see the options of the same names."""

    crop_size: int
    detail_candidates: int
    flips: bool
    transposes: bool


class CropDataset(Dataset[Crop]):
    """Crops of cached pairs. A crop depends only on the seed and the number of its draw."""

    def __init__(
        self,
        pairs: Cached[Pair],
        scale: int,
        settings: CropSettings,
        seed: int,
        degradation: Degradation | None = None,
    ) -> None:
        """degradation: makes lr from hr, crop by crop, instead of the pairs' own lr."""
        self.pairs = pairs
        self.scale = scale
        self.settings = settings
        self.seed = seed
        self.degradation = degradation

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> Crop:
        index, number = draw
        rng = np.random.default_rng((self.seed, 1, number))  # 1: streams apart from the sampler's
        lr, hr = self._cut_and_degrade(*self.pairs[index], rng)
        return {
            "lr": image_to_tensor(lr)[0],
            "hr": image_to_tensor(hr)[0],
            "name": self.pairs.sources[index].name,
        }

    def _cut_and_degrade(self, lr: Image, hr: Image, rng: np.random.Generator) -> Pair:
        """A random crop of the pair, turned at random.

        Turned before it is degraded: codecs treat rows and columns in their own way.
        """
        settings, scale = self.settings, self.scale
        size = settings.crop_size // scale  # LR pixels
        top, left = random_place(lr, size, settings.detail_candidates, rng)
        plan = None if self.degradation is None else draw_plan(self.degradation, rng)
        margin = 0 if plan is None else plan.margin(scale)  # LR pixels
        hr = cut(hr, (scale * top, scale * left), scale * size, scale * margin)
        lr = cut(lr, (top, left), size)
        orientation = random_orientation(settings.flips, settings.transposes, rng)
        lr, hr = orientation.of(lr), orientation.of(hr)
        if plan is None:
            return lr, hr
        lr = degrade(hr, plan, scale, rng)
        middle, hr_middle = (margin, margin), (scale * margin, scale * margin)
        return cut(lr, middle, size), cut(hr, hr_middle, scale * size)


def one_thread(_worker: int) -> None:
    """For a DataLoader's worker_init_fn: OpenCV would start a thread a core in every worker."""
    cv2.setNumThreads(1)


def refuse_small_images(sources: Sequence[Source[Any]], least: int, need: str) -> None:
    """Raise DataError naming every image with a side below `least` HR pixels, and the need."""
    raise_faults(
        f"images smaller than {need} of {least} HR pixels",
        [
            f"{source.name}: {source.hr_size[1]}x{source.hr_size[0]} (width x height)"
            for source in sources
            if min(source.hr_size) < least
        ],
    )
