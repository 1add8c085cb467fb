"""Whole images with a random degradation that is always the same, to validate on."""

import zlib
from dataclasses import dataclass

import numpy as np

from sr.data.hr_only import HRImage
from sr.data.random_degradation import Degradation, degrade, draw_plan
from sr.data.sources import Pair


@dataclass(frozen=True)
class DegradedImage:
    """An hr file, and lr by the degradation that is drawn from the file's name.

    degradation: one that leaves no image clean, of which scores would be infinite at scale 1.
    """

    image: HRImage
    degradation: Degradation

    @property
    def name(self) -> str:
        return self.image.name

    @property
    def hr_size(self) -> tuple[int, int]:
        return self.image.hr_size

    @property
    def num_bytes(self) -> int:
        return self.image.num_bytes

    def load(self) -> Pair:
        """Return lr (H, W, 3) and hr (scale*H, scale*W, 3), both uint8 RGB."""
        image = self.image
        seed = zlib.crc32(f"{image.path.name} {image.downscale}".encode())
        rng = np.random.default_rng(seed)
        plan = draw_plan(self.degradation, rng)
        assert plan is not None
        hr = image.load_hr()
        return degrade(hr, plan, image.scale, rng), hr
