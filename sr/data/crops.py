"""The training data set: an lr/hr crop for each draw of the sampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from sr.data.cache import CachedPairs
from sr.data.crop_and_flip import random_crop, random_orientation
from sr.data.sampler import Draw
from sr.data.sources import Source, raise_faults
from sr.io.image import image_to_tensor


class Crop(TypedDict):
    """One sample; collated, a batch of them."""

    lr: Tensor  # (3, h, w) in [0, 1]
    hr: Tensor  # (3, scale*h, scale*w) in [0, 1]
    name: str


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn: see the options of the same names."""

    crop_size: int
    detail_candidates: int
    flips: bool
    transposes: bool


class CropDataset(Dataset[Crop]):
    """Crops of cached pairs. A crop depends only on the seed and the number of its draw."""

    def __init__(self, pairs: CachedPairs, scale: int, settings: CropSettings, seed: int) -> None:
        self.pairs = pairs
        self.scale = scale
        self.settings = settings
        self.seed = seed

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> Crop:
        index, number = draw
        rng = np.random.default_rng((self.seed, 1, number))  # 1: streams apart from the sampler's
        lr, hr = self.pairs[index]
        settings = self.settings
        lr_size = settings.crop_size // self.scale
        lr, hr = random_crop(lr, hr, lr_size, settings.detail_candidates, rng)
        lr, hr = random_orientation(lr, hr, settings.flips, settings.transposes, rng)
        return {
            "lr": image_to_tensor(lr)[0],
            "hr": image_to_tensor(hr)[0],
            "name": self.pairs.sources[index].name,
        }


def refuse_small_pictures(sources: Sequence[Source], crop_size: int) -> None:
    """Raise DataError naming every picture that a crop does not fit into."""
    raise_faults(
        f"pictures smaller than the crop of {crop_size} HR pixels",
        [
            f"{source.name}: {source.hr_size[1]}x{source.hr_size[0]} (width x height)"
            for source in sources
            if min(source.hr_size) < crop_size
        ],
    )
