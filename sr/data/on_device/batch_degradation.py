"""Degradation of a batch of crops by their plans, on the device that trains.

Plans are drawn crop by crop as for `sr.data.random_degradation.degrade`, whose order of steps and
sizes this follows, so that both make the same lr but for the noise's own draws, and what JPEG makes
of rounding. WebP is encoded by libwebp on the CPU, one crop after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sr.data.degradations import compress
from sr.data.on_device.jpeg import compress_jpeg
from sr.data.on_device.steps import (
    blur,
    draw_gaussian_noise,
    draw_poisson_noise,
    resize,
    round_to_8_bits,
)
from sr.data.random_degradation import DegradationPlan, StagePlan


@dataclass(frozen=True)
class PlannedCrop:
    """How an hr crop, with a margin, is to be degraded."""

    plan: DegradationPlan
    margin: int  # LR pixels
    seed: int  # of the noise


def degrade_crops(
    regions: Tensor, crops: Sequence[PlannedCrop], lr_side: int, scale: int
) -> Tensor:
    """Make lr of each crop: (B, 3, lr_side, lr_side), RGB in [0, 1], rounded to 8 bits.

    regions: (B, 3, S, S), uint8 RGB, each of scale * (lr_side + 2 * margin) pixels per side in the
    top left corner. The noise of a crop depends on its seed and the kind of device alone, not on
    the other crops.
    """
    plans = [crop.plan for crop in crops]
    lr_sides = [lr_side + 2 * crop.margin for crop in crops]
    bases = sides = [scale * side for side in lr_sides]
    generators = [torch.Generator(regions.device).manual_seed(crop.seed) for crop in crops]
    images = regions.float() / 255
    *earlier, last = zip(*(plan.stages for plan in plans), strict=True)
    for stages in earlier:
        images, sides = _degrade_once(images, sides, bases, stages, generators)
        images = _compress(images, sides, stages)
    images, sides = _degrade_once(images, sides, lr_sides, last, generators)
    first = [None if plan.compress_last else stage for plan, stage in zip(plans, last, strict=True)]
    images = _compress(images, sides, first)
    images = resize(images, sides, lr_sides, [plan.final_filter for plan in plans])
    images = blur(images, lr_sides, [plan.final_kernel for plan in plans])
    second = [
        stage if plan.compress_last else None for plan, stage in zip(plans, last, strict=True)
    ]
    images = _compress(images, lr_sides, second)
    middles = [
        image[:, crop.margin : crop.margin + lr_side, crop.margin : crop.margin + lr_side]
        for image, crop in zip(images, crops, strict=True)
    ]
    return round_to_8_bits(torch.stack(middles))


def _degrade_once(
    images: Tensor,
    sides: Sequence[int],
    bases: Sequence[int],
    stages: Sequence[StagePlan],
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, list[int]]:
    """Blur, resize to `factor` of the base sides and add noise. Also returns the new sides."""
    images = blur(images, sides, [stage.kernel for stage in stages])
    new_sides = [
        max(1, round(stage.factor * base)) for stage, base in zip(stages, bases, strict=True)
    ]
    images = resize(images, sides, new_sides, [stage.filter for stage in stages])
    noise = torch.zeros_like(images)
    for number, (stage, side) in enumerate(zip(stages, new_sides, strict=True)):
        if stage.noise:
            image = images[number, :, :side, :side]
            noise[number, :, :side, :side] = _draw_noise(image, stage, generators[number])
    return (images + noise).clamp_(0, 1), new_sides


def _draw_noise(image: Tensor, stage: StagePlan, generator: torch.Generator) -> Tensor:
    """Draw the noise of an image, (3, H, W): the same shape, or (1, H, W) where it is gray."""
    if stage.gaussian:
        shape = (1 if stage.gray else 3, *image.shape[1:])
        return draw_gaussian_noise(shape, stage.noise, generator)
    return draw_poisson_noise(image, stage.noise, stage.gray, generator)


def _compress(images: Tensor, sides: Sequence[int], stages: Sequence[StagePlan | None]) -> Tensor:
    """Compress the images whose stage has a codec; None: not now."""
    codecs = [None if stage is None else stage.codec for stage in stages]
    qualities = [0 if stage is None else stage.quality for stage in stages]
    images = _replace(
        images,
        [number for number, codec in enumerate(codecs) if codec == "jpeg"],
        lambda part, chosen: compress_jpeg(
            part, [sides[i] for i in chosen], [qualities[i] for i in chosen]
        ),
    )
    for number, codec in enumerate(codecs):
        if codec == "webp":
            inside = images[number, :, : sides[number], : sides[number]]
            pixels = np.ascontiguousarray(inside.permute(1, 2, 0).cpu().numpy())
            compressed = torch.from_numpy(compress(pixels, "webp", qualities[number]))
            inside.copy_(compressed.permute(2, 0, 1))
    return images


def _replace(
    images: Tensor, chosen: list[int], change: Callable[[Tensor, list[int]], Tensor]
) -> Tensor:
    """Change the chosen images of a batch; others stay as they are."""
    if not chosen:
        return images
    if len(chosen) == len(images):
        return change(images, chosen)
    places = torch.tensor(chosen, device=images.device)
    return images.index_copy(0, places, change(images[places], chosen))
