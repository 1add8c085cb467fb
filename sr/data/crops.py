"""The training data set of images: an lr/hr crop for each draw of the sampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal, NotRequired, TypedDict

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from sr.data.augment import (
    Place,
    cut_square,
    draw_augmentation,
    draw_place,
    measure_bicubic_residual,
    measure_detail,
)
from sr.data.cache import SourceCache
from sr.data.hr_only import BICUBIC_MARGIN, HRImage, cut_bicubic_lr
from sr.data.imresize import imresize
from sr.data.on_device.batch_degradation import PlannedCrop, degrade_crops
from sr.data.paired import PairedImage
from sr.data.prepared_images import prefetch_rows
from sr.data.random_degradation import Degradation, DegradationPlan, degrade, draw_plan
from sr.data.sampler import Draw
from sr.data.sharpen import Sharpening, sharpen
from sr.data.sources import Image, Pair, Source
from sr.data.synthetic.images import SyntheticImages
from sr.io.rgb8 import image_to_tensor

_FACTORS = 256  # sizes of an image are whole multiples of 1/256 of its own


class Crop(TypedDict):
    """One sample, or a batch of them, (B, ...). Only clips have `neighbors`, `flows`, `motion`."""

    lr: Tensor  # (3, h, w) in [0, 1]
    hr: Tensor  # (3, scale*h, scale*w) in [0, 1]
    name: str
    target: NotRequired[Tensor]  # as hr, sharpened; of loss terms but the adversarial one
    neighbors: NotRequired[Tensor]  # (n, 3, h, w) in [0, 1]
    flows: NotRequired[Tensor]  # (n, 2, h, w), LR pixels
    motion: NotRequired[Tensor]  # (2, scale*h, scale*w), HR pixels; of two samples
    zoomed: NotRequired[Tensor]  # (3, h, w) in [0, 1], a part of hr; see ZoomedCropDataset
    # Of crops whose lr the device is to make: hr with a margin, (3, side, side) uint8, and how. A
    # batch has those of such crops alone, with None for the others. See `degrade_batch`.
    regions: NotRequired[Tensor]
    planned: NotRequired[Sequence[PlannedCrop | None]]


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn; see the options of the same names."""

    crop_size: int
    detail_candidates: int
    flips: bool
    transposes: bool
    detail_measure: Literal["gradient", "residual"] = "gradient"
    detail_quantile: float = 1.0
    sharpening: Sharpening | None = None  # of hr, before it is degraded


class CropDataset(Dataset[Crop]):
    """Crops of cached pairs. A crop depends only on the seed and the number of its draw."""

    def __init__(
        self,
        pairs: SourceCache[Pair],
        scale: int,
        settings: CropSettings,
        seed: int,
        degradation: Degradation | None = None,
        *,
        on_device: bool = False,
    ) -> None:
        """degradation: makes lr from hr, crop by crop, instead of the pairs' own lr. on_device:
        only plan it; `collate_crops` and `degrade_batch` do the rest, batch by batch.
        """
        self.pairs = pairs
        self.scale = scale
        self.settings = settings
        self.seed = seed
        self.degradation = degradation
        self.on_device = on_device
        self.prefetch = any(map(_is_on_disk, pairs.sources))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> Crop:
        index, number = draw
        rng = np.random.default_rng((self.seed, 1, number))  # 1: streams apart from the sampler's
        source = self.pairs.sources[index]
        name = source.name
        if isinstance(source, SyntheticImages):
            kind, crop = self._draw_and_degrade(source, rng)
            name = f"{name} {kind}, draw {number}"
        elif isinstance(source, HRImage) and source.hr_scale is not None:
            crop = self._shrink_and_degrade(*self._load(index), source.hr_scale, rng)
        else:
            crop = self._cut_and_degrade(*self._load(index), rng)
        return {**crop, "name": name}

    def _load(self, index: int) -> tuple[Image | None, Image]:
        """Return lr and hr. lr: None where only those parts are made that a crop needs."""
        source = self.pairs.sources[index]
        if isinstance(source, HRImage) and not self.pairs.holds(index):
            return source.find_lr(), source.load_hr()
        return self.pairs[index]

    def _cut(self, image: Image, place: Place, size: int, margin: int = 0) -> Image:
        """Cut out of lr or hr as `cut_square` does; place, size, margin: in its pixels."""
        self._prefetch(image, place[0] - margin, size + 2 * margin)
        return cut_square(image, place, size, margin)

    def _prefetch(self, image: Image, top: int, height: int) -> None:
        if self.prefetch:
            prefetch_rows(image[max(top, 0) : top + height])

    def _cut_lr(self, lr: Image | None, hr: Image, place: Place, size: int) -> Image:
        """Cut `size` LR pixels at a place out of lr, which may have to be made from hr."""
        if lr is None:
            top, height = place[0] - BICUBIC_MARGIN, size + 2 * BICUBIC_MARGIN
            self._prefetch(hr, self.scale * top, self.scale * height)
            return cut_bicubic_lr(hr, place, size, self.scale)
        return self._cut(lr, place, size)

    def _cut_and_degrade(self, lr: Image | None, hr: Image, rng: np.random.Generator) -> Crop:
        """Cut a random crop of the pair and augment it.

        Degradation comes last: codecs treat rows and columns differently.
        """
        settings, scale = self.settings, self.scale
        size = settings.crop_size // scale  # LR pixels
        top, left = self._draw_place(lr, hr, scale * size, rng)
        plan = self._draw_plan(rng)
        if plan is not None:
            margin = plan.compute_margin(scale)  # LR pixels
        else:
            margin = 0 if settings.sharpening is None else BICUBIC_MARGIN
        whole, around = hr, scale * (margin + self._sharpening_margin)
        hr = self._cut(hr, (scale * top, scale * left), scale * size, around)
        augmentation = draw_augmentation(settings.flips, settings.transposes, rng)
        hr = augmentation.apply(hr)
        if plan is None and settings.sharpening is None:
            return _make_crop(augmentation.apply(self._cut_lr(lr, whole, (top, left), size)), hr)
        return self._degrade(hr, margin, plan, rng)

    def _shrink_and_degrade(
        self, lr: Image | None, hr: Image, hr_scale: tuple[float, float], rng: np.random.Generator
    ) -> Crop:
        """Cut a crop of the pair at a random size; only what the crop needs is resized."""
        settings, size = self.settings, self.settings.crop_size
        plan = self._draw_plan(rng)
        margin = _compute_margin(plan, self.scale)
        around = margin + self._sharpening_margin
        shortest = min(hr.shape[:2])
        drawn = max(rng.uniform(*hr_scale), size / shortest)
        factor = Fraction(ceil(drawn * _FACTORS), _FACTORS)
        needed = size + 2 * self.scale * around + 4  # 4: reach of the mirrored borders
        side = min(ceil(needed / factor), shortest)
        top, left = self._draw_place(lr, hr, side, rng)
        top, left = self.scale * top, self.scale * left
        shrunk = imresize(self._cut(hr, (top, left), side), factor)
        first = (len(shrunk) - size) // 2
        hr = cut_square(shrunk, (first, first), size, self.scale * around)
        hr = draw_augmentation(settings.flips, settings.transposes, rng).apply(hr)
        return self._degrade(hr, margin, plan, rng)

    def _draw_and_degrade(
        self, source: SyntheticImages, rng: np.random.Generator
    ) -> tuple[str, Crop]:
        """Return the kind of a synthetic image, and the image, which is not flipped."""
        plan = self._draw_plan(rng)
        margin = _compute_margin(plan, self.scale)
        around = margin + self._sharpening_margin
        kind, hr = source.draw(self.settings.crop_size + 2 * self.scale * around, rng)
        return kind, self._degrade(hr, margin, plan, rng)

    def _degrade(
        self, hr: Image, margin: int, plan: DegradationPlan | None, rng: np.random.Generator
    ) -> Crop:
        """Make lr, or plan it.

        hr: with a margin, in LR pixels, and around it that of sharpening; both are cropped.
        """
        scale, size, sharpening = self.scale, self.settings.crop_size, self.settings.sharpening
        unchanged, first = hr, scale * self._sharpening_margin
        if sharpening is not None:
            hr = sharpen(hr, sharpening)[first : len(hr) - first, first : len(hr) - first]
        hr_middle = cut_square(hr, (scale * margin, scale * margin), size)
        if plan is not None and self.on_device:
            planned = PlannedCrop(plan, margin, seed=int(rng.integers(2**63)))
            crop = _make_crop(np.zeros((size // scale, size // scale, 3), np.uint8), hr_middle)
            region = torch.from_numpy(np.ascontiguousarray(hr.transpose(2, 0, 1)))
            crop |= {"regions": region, "planned": (planned,)}
        else:
            lr = imresize(hr, Fraction(1, scale)) if plan is None else degrade(hr, plan, scale, rng)
            crop = _make_crop(cut_square(lr, (margin, margin), size // scale), hr_middle)
        if sharpening is not None and sharpening.only_targets:
            first += scale * margin
            unchanged = cut_square(unchanged, (first, first), size)
            return {**crop, "hr": image_to_tensor(unchanged)[0], "target": crop["hr"]}
        return crop

    @property
    def _sharpening_margin(self) -> int:
        """LR pixels around a crop, and its margin, that sharpening looks at."""
        sharpening = self.settings.sharpening
        return 0 if sharpening is None else ceil(sharpening.reach / self.scale)

    def _draw_plan(self, rng: np.random.Generator) -> DegradationPlan | None:
        return None if self.degradation is None else draw_plan(self.degradation, rng)

    def _draw_place(
        self, lr: Image | None, hr: Image, side: int, rng: np.random.Generator
    ) -> Place:
        """Draw the place, in LR pixels, of `side` HR pixels that become a crop."""
        settings, scale = self.settings, self.scale
        lr_size = -(-side // scale)

        def measure(place: Place) -> float:
            if settings.detail_measure == "gradient":
                return measure_detail(self._cut_lr(lr, hr, place, lr_size))
            region = self._cut(hr, (scale * place[0], scale * place[1]), side)
            return measure_bicubic_residual(region, settings.crop_size, scale)

        lr_shape = (hr.shape[0] // scale, hr.shape[1] // scale)
        candidates, quantile = settings.detail_candidates, settings.detail_quantile
        return draw_place(lr_shape, lr_size, candidates, rng, measure, quantile)


def collate_crops(crops: Sequence[Crop]) -> Crop:
    """Collate crops; regions of different sizes go to the top left corners of one canvas."""
    regions = [crop.pop("regions") for crop in crops if "regions" in crop]
    planned = [part for crop in crops for part in crop.pop("planned", (None,))]
    batch: Crop = default_collate(list(crops))
    if regions:
        side = max(region.shape[-1] for region in regions)
        batch["regions"] = torch.zeros(len(regions), 3, side, side, dtype=torch.uint8)
        for canvas, region in zip(batch["regions"], regions, strict=True):
            canvas[:, : region.shape[1], : region.shape[2]] = region
        batch["planned"] = planned
    return batch


def degrade_batch(batch: Crop, device: torch.device) -> Crop:
    """Make the lr that is only planned yet, on a device; other batches stay as they are."""
    if "regions" not in batch:
        return batch
    planned, regions = batch.pop("planned"), batch.pop("regions").to(device, non_blocking=True)
    lr, hr = batch["lr"].to(device, non_blocking=True), batch["hr"]
    places = [number for number, crop in enumerate(planned) if crop is not None]
    crops = [crop for crop in planned if crop is not None]
    lr_side = lr.shape[-1]
    lr[places] = degrade_crops(regions, crops, lr_side, hr.shape[-1] // lr_side)
    return {**batch, "lr": lr}


def _make_crop(lr: Image, hr: Image) -> Crop:
    return {"lr": image_to_tensor(lr)[0], "hr": image_to_tensor(hr)[0], "name": ""}


def _is_on_disk(source: Source[Pair]) -> bool:
    """Return whether an image was prepared, with more than memory holds."""
    prepared = source.prepared_hr if isinstance(source, HRImage | PairedImage) else None
    return prepared is not None and prepared.images.exceed_memory


def _compute_margin(plan: DegradationPlan | None, scale: int) -> int:
    """Return how many LR pixels around a crop its LR depends on."""
    return BICUBIC_MARGIN if plan is None else max(plan.compute_margin(scale), BICUBIC_MARGIN)


def use_one_thread(_worker: int) -> None:
    """Keep OpenCV from starting one thread per core in every worker of a DataLoader."""
    cv2.setNumThreads(1)
