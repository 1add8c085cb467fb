"""Augmentations of crops by colors, by other crops of the batch, or by their own hr.

Yoo et al. 2020, "Rethinking Data Augmentation for Image Super-resolution: A Comprehensive Analysis
and a New Strategy" (arXiv 2004.00448), sec. 2 and 3, with the parameters of the authors' code.
Drawing one of them for each crop is the paper's mixture of augmentations.

Deviations: each crop, and not each batch, draws its own augmentation. The paper's cutblur pastes hr
into upscaled lr, for networks that take lr at the size of hr; here it pastes downscaled hr into
lr, which at scale 1 is the same. That has an effect where lr is degraded beyond downscaling.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sr.data.crops import Crop
from sr.data.imresize import imresize
from sr.io.rgb8 import image_to_tensor

MIXUP_ALPHA = 1.2  # of the beta distribution, both parameters
CUT_RATIO, CUT_RATIO_SIGMA = 0.7, 0.01  # of a side
LEAST_BLEND = 0.6  # weight of the image in `blend`


@dataclass(frozen=True)
class BatchAugmentation:
    """Share of the crops that are augmented, and how often each kind is drawn."""

    probability: float
    shares: Mapping[str, float]


class Box(NamedTuple):
    """A part of lr, in LR pixels."""

    top: int
    left: int
    height: int
    width: int


def augment_batches(
    batches: Iterable[Crop],
    augmentation: BatchAugmentation,
    scale: int,
    seed: int,
    first_draw: int,
    stride: int,
) -> Iterator[Crop]:
    """Augment batches of images in place.

    first_draw: number of the first crop of the first batch; stride: draws between two batches. A
    crop's augmentation depends only on the seed, the number of its draw and the batch.
    """
    for batch, first in zip(batches, count(first_draw, stride), strict=False):
        yield augment_batch(batch, augmentation, scale, seed, first)


def augment_batch(
    batch: Crop, augmentation: BatchAugmentation, scale: int, seed: int, first_draw: int
) -> Crop:
    """Augment a batch in place; see `augment_batches`."""
    size = len(batch["name"])
    seeds = [(seed, 5, first_draw + index) for index in range(size)]  # 5: apart from other streams
    made = [_augment(batch, augmentation, scale, *each) for each in enumerate(seeds)]
    names = list(batch["name"])
    for index, (name, images) in enumerate(made):  # after all were made from what the batch had
        names[index] = name
        for key, image in images.items():
            batch[key][index] = image  # type: ignore[literal-required]
    return {**batch, "name": names}  # type: ignore[typeddict-item]


def _augment(
    batch: Crop,
    augmentation: BatchAugmentation,
    scale: int,
    index: int,
    seed: tuple[int, int, int],
) -> tuple[str, dict[str, Tensor]]:
    """Return the name of a crop and its images that change."""
    name, rng = batch["name"][index], np.random.default_rng(seed)
    if rng.random() >= augmentation.probability:
        return name, {}
    weights = np.array(list(augmentation.shares.values()))
    kind = str(rng.choice(list(augmentation.shares), p=weights / weights.sum()))
    size = len(batch["name"])
    other = (index + int(rng.integers(1, size))) % size if size > 1 else index
    made = change_crop(kind, _get_images(batch, index), _get_images(batch, other), scale, rng)
    if kind in ("mixup", "cutmix", "cutmixup"):
        name = f"{name}, {kind} with {batch['name'][other]}"
    return name, made


def _get_images(batch: Crop, index: int) -> dict[str, Tensor]:
    keys = [key for key in ("lr", "hr", "target") if key in batch]
    return {key: batch[key][index] for key in keys}


def change_crop(
    kind: str,
    images: Mapping[str, Tensor],
    others: Mapping[str, Tensor],
    scale: int,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Return what an augmentation of this kind changes of a crop.

    images, others: lr, (3, h, w), hr and, where hr was sharpened, target, (3, scale*h, scale*w);
    of the crop, and of another one for what mixes crops. All change alike, but by cutblur only lr.
    """
    sizes = {key: 1 if key == "lr" else scale for key in images}
    match kind:
        case "rgb":
            order = rng.permutation(3).tolist()
            return {key: image[order] for key, image in images.items()}
        case "blend":
            color = torch.from_numpy(rng.random((3, 1, 1), dtype=np.float32))
            colors = {key: color.to(image) for key, image in images.items()}
            return _mix(images, colors, rng.uniform(LEAST_BLEND, 1))
        case "mixup":
            return _mix(images, others, rng.beta(MIXUP_ALPHA, MIXUP_ALPHA))
        case "cutmix":
            return _paste(images, others, draw_box(images["lr"], rng), sizes)
        case "cutmixup":
            box = draw_box(images["lr"], rng)
            mixed = _mix(images, others, rng.beta(MIXUP_ALPHA, MIXUP_ALPHA))
            return _paste(*_draw_order(images, mixed, rng), box, sizes)
        case "cutblur":
            lr = images["lr"]
            clean = downscale(images.get("target", images["hr"]), scale).to(lr)
            box = draw_box(lr, rng)
            return _paste(*_draw_order({"lr": lr}, {"lr": clean}, rng), box, sizes)
        case _:
            raise AssertionError(kind)


def draw_box(lr: Tensor, rng: np.random.Generator) -> Box:
    """Draw a part with about 0.7 of each side of lr, (3, h, w), anywhere inside."""
    ratio = min(1.0, rng.normal(CUT_RATIO, CUT_RATIO_SIGMA))
    height, width = (max(1, int(side * ratio)) for side in lr.shape[-2:])
    top = int(rng.integers(lr.shape[-2] - height + 1))
    left = int(rng.integers(lr.shape[-1] - width + 1))
    return Box(top, left, height, width)


def downscale(hr: Tensor, scale: int) -> Tensor:
    """Downscale as MATLAB does. hr: (3, scale*h, scale*w) in [0, 1]. Returns (3, h, w), 8 bits."""
    if scale == 1:
        return hr
    image = (hr * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return image_to_tensor(imresize(image, Fraction(1, scale)))[0]


def _mix(
    images: Mapping[str, Tensor], others: Mapping[str, Tensor], weight: float
) -> dict[str, Tensor]:
    """weight: of the images."""
    return {key: weight * image + (1 - weight) * others[key] for key, image in images.items()}


def _paste(
    images: Mapping[str, Tensor],
    others: Mapping[str, Tensor],
    box: Box,
    sizes: Mapping[str, int],
) -> dict[str, Tensor]:
    """Return the images with the part from the others."""
    made = {}
    for key, image in images.items():
        top, left, height, width = (sizes[key] * pixels for pixels in box)
        part = slice(top, top + height), slice(left, left + width)
        made[key] = image.clone()
        made[key][:, *part] = others[key][:, *part]
    return made


def _draw_order(
    images: Mapping[str, Tensor], others: Mapping[str, Tensor], rng: np.random.Generator
) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Draw which is inside the part, and which outside."""
    return (images, others) if rng.random() < 0.5 else (others, images)
