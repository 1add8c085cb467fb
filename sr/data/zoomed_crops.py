"""Crops with a part of hr as a further input, of which there is no original."""

import numpy as np
from torch.utils.data import Dataset

from sr.data.crops import Crop
from sr.data.sampler import Draw


class ZoomedCropDataset(Dataset[Crop]):
    """Crops of a data set, each with a random part of hr that is as large as lr, `zoomed`.

    "Zoom in" of Zhang et al. 2023, "Data Upcycling Knowledge Distillation for Image
    Super-Resolution" (arXiv 2309.14162). There is no original of its upscaled image; a teacher
    gives the target. It depends only on the seed and the number of the draw.
    """

    def __init__(self, crops: Dataset[Crop], seed: int) -> None:
        self.crops = crops
        self.seed = seed

    def __getitem__(self, draw: Draw) -> Crop:
        crop = self.crops[draw]
        rng = np.random.default_rng((self.seed, 2, draw[1]))  # 2: a stream apart from the crops'
        (height, width), hr = crop["lr"].shape[-2:], crop["hr"]
        top = int(rng.integers(hr.shape[-2] - height + 1))
        left = int(rng.integers(hr.shape[-1] - width + 1))
        crop["zoomed"] = hr[..., top : top + height, left : left + width].contiguous()
        return crop
