"""Batches degraded on a device against crops degraded one by one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.images import write_block_images
from numpy.typing import NDArray
from torch import Tensor

from sr.data.cache import SourceCache
from sr.data.crops import Crop, CropDataset, CropSettings, collate_crops, degrade_batch
from sr.data.degradations import blur, to_uint8
from sr.data.hr_only import find_hr_images
from sr.data.kernels import make_gaussian_kernel
from sr.data.on_device.batch_degradation import PlannedCrop, degrade_crops
from sr.data.random_degradation import (
    Degradation,
    DegradationPlan,
    Stage,
    StagePlan,
    degrade,
    draw_plan,
)
from sr.options.degradations import StageOptions

CPU = torch.device("cpu")
FIRST = Stage(**dict(StageOptions(webp_probability=0.3)))
SECOND = replace(
    FIRST,
    blur_probability=0.8,
    resize_probabilities=(0.3, 0.4, 0.3),
    resize_factor=(0.3, 1.2),
)
BOTH = Degradation((FIRST, SECOND), final_sinc_probability=0.8, clean_probability=0)
SCALE, LR_SIDE = 2, 12

ChangeStage = Callable[[StagePlan], StagePlan]


def make_crops(
    count: int, change: ChangeStage = lambda stage: stage, seed: int = 0
) -> tuple[list[NDArray[np.uint8]], list[PlannedCrop]]:
    """Regions, (side, side, 3), of soft noise, and their plans."""
    rng = np.random.default_rng(seed)
    regions, crops = [], []
    for number in range(count):
        plan = draw_plan(BOTH, rng)
        assert plan is not None
        plan = replace(plan, stages=tuple(map(change, plan.stages)))
        margin = plan.compute_margin(SCALE)
        side = SCALE * (LR_SIDE + 2 * margin)
        noise = rng.random((side, side, 3), dtype=np.float32)
        regions.append(to_uint8(blur(noise, make_gaussian_kernel(9, (1.5, 1.5)))))
        crops.append(PlannedCrop(plan, margin, seed=number))
    return regions, crops


def to_canvas(regions: list[NDArray[np.uint8]]) -> Tensor:
    side = max(map(len, regions))
    canvas = torch.full((len(regions), 3, side, side), 77, dtype=torch.uint8)
    for place, region in zip(canvas, regions, strict=True):
        place[:, : len(region), : len(region)] = torch.from_numpy(region).permute(2, 0, 1)
    return canvas


def degrade_together(regions: list[NDArray[np.uint8]], crops: list[PlannedCrop]) -> list[Tensor]:
    """Each lr, (LR_SIDE, LR_SIDE, 3), in 8-bit levels."""
    lr = degrade_crops(to_canvas(regions), crops, LR_SIDE, SCALE)
    return list(lr.permute(0, 2, 3, 1) * 255)


def degrade_alone(region: NDArray[np.uint8], crop: PlannedCrop, seed: int = 0) -> Tensor:
    lr = degrade(region, crop.plan, SCALE, np.random.default_rng(seed))
    inside = slice(crop.margin, crop.margin + LR_SIDE)
    return torch.from_numpy(lr[inside, inside].astype(np.float32))


def test_without_noise_and_jpeg_lr_is_the_same_as_crop_by_crop() -> None:
    def quieten(stage: StagePlan) -> StagePlan:
        return replace(stage, noise=0.0, codec="webp" if stage.codec == "webp" else None)

    regions, crops = make_crops(20, quieten)
    assert len({crop.margin for crop in crops}) > 3
    num_equal = 0
    for ours, region, crop in zip(degrade_together(regions, crops), regions, crops, strict=True):
        theirs = degrade_alone(region, crop)
        webp = any(stage.codec for stage in crop.plan.stages)
        # Values between two levels are rounded either way, and WebP makes more of it.
        torch.testing.assert_close(ours, theirs, atol=4 if webp else 1.01, rtol=0)
        num_equal += int((ours - theirs).abs().mean() < 0.01)
    assert num_equal >= 17


def test_without_noise_jpeg_differs_in_single_coefficients() -> None:
    regions, crops = make_crops(12, lambda stage: replace(stage, noise=0.0, codec="jpeg"))
    ours = torch.stack(degrade_together(regions, crops))
    theirs = torch.stack([degrade_alone(*pair) for pair in zip(regions, crops, strict=True)])
    differences = (ours - theirs).flatten(1)
    assert differences.abs().mean(dim=1).max() < 4
    assert differences.mean().abs() < 0.25


def test_noise_follows_the_seed_of_the_crop_and_not_its_batch() -> None:
    regions, crops = make_crops(4, lambda stage: replace(stage, codec=None))
    both = degrade_together(regions, crops)
    again = degrade_together(regions, crops)
    other = degrade_together(regions, [replace(crop, seed=crop.seed + 99) for crop in crops])
    for number, (region, crop) in enumerate(zip(regions, crops, strict=True)):
        assert torch.equal(both[number], again[number])
        assert not torch.equal(both[number], other[number])
        (alone,) = degrade_together([region], [crop])
        torch.testing.assert_close(both[number], alone, atol=1.01, rtol=0)


@pytest.mark.slow
def test_results_have_the_moments_of_those_made_crop_by_crop() -> None:
    """Of one image and 120 draws of all parameters: mean, deviation and detail."""
    rng, count = np.random.default_rng(1), 120
    noise = rng.random((104, 104, 3), dtype=np.float32)
    whole = to_uint8(blur(noise, make_gaussian_kernel(9, (2.0, 2.0))))

    def draw(seed: int) -> PlannedCrop:
        rng = np.random.default_rng(seed)
        while True:
            plan = draw_plan(
                replace(BOTH, stages=(replace(FIRST, webp_probability=0), SECOND)), rng
            )
            assert plan is not None
            if (margin := plan.compute_margin(SCALE)) <= 20:
                return PlannedCrop(plan, margin, seed)

    def cut(crop: PlannedCrop) -> NDArray[np.uint8]:
        first, side = SCALE * (20 - crop.margin), SCALE * (LR_SIDE + 2 * crop.margin)
        return whole[first : first + side, first : first + side]

    def measure(images: list[Tensor]) -> Tensor:
        stacked = torch.stack(images)  # (n, h, w, 3)
        steps = stacked.diff(dim=1).abs().mean(dim=(1, 2, 3))
        return torch.stack([stacked.mean((1, 2, 3)), stacked.std((1, 2, 3)), steps])

    planned = [draw(number) for number in range(count)]
    ours = measure(
        [
            lr
            for start in range(0, count, 40)
            for lr in degrade_together(
                [cut(crop) for crop in planned[start : start + 40]], planned[start : start + 40]
            )
        ]
    )
    others = [draw(count + number) for number in range(count)]
    theirs = measure([degrade_alone(cut(crop), crop, crop.seed) for crop in others])
    for power in (1, 2):
        a, b = ours**power, theirs**power
        error = ((a.var(dim=1) + b.var(dim=1)) / count).sqrt()
        assert ((a.mean(dim=1) - b.mean(dim=1)).abs() < 4 * error).all()


def make_data(
    tmp_path: Path, *, on_device: bool, clean: float = 0.3, quiet: bool = False
) -> CropDataset:
    """quiet: without noise and compression."""
    folder = tmp_path / "photos"
    if not folder.exists():
        write_block_images(folder, 3)
    stages = BOTH.stages
    if quiet:
        stages = tuple(
            replace(
                stage,
                gaussian_probability=1.0,
                gaussian_sigma=(0.0, 0.0),
                compression_probability=0.0,
            )
            for stage in stages
        )
    return CropDataset(
        SourceCache(find_hr_images([folder], SCALE, (), (1.0,)), Path(), []),
        SCALE,
        CropSettings(16, 1, flips=True, transposes=True),
        5,
        replace(BOTH, stages=stages, clean_probability=clean),
        on_device=on_device,
    )


def test_places_and_plans_are_those_of_crops_degraded_one_by_one(tmp_path: Path) -> None:
    alone, planned = (make_data(tmp_path, on_device=flag, quiet=True) for flag in (False, True))
    draws = [(number % 3, number) for number in range(24)]
    batch = collate_crops([planned[draw] for draw in draws])
    clean = [crop is None for crop in batch["planned"]]
    assert 0 < sum(clean) < 24
    lr = degrade_batch(batch, CPU)["lr"]
    for number, draw in enumerate(draws):
        theirs = alone[draw]
        assert torch.equal(batch["hr"][number], theirs["hr"])
        torch.testing.assert_close(lr[number], theirs["lr"], atol=1.01 / 255, rtol=0)
        if clean[number]:
            assert torch.equal(lr[number], theirs["lr"])


def test_a_batch_has_clean_crops_and_degraded_ones_in_their_places(tmp_path: Path) -> None:
    data = make_data(tmp_path, on_device=True)
    draws = [(number % 3, number) for number in range(10)]
    batch = degrade_batch(collate_crops([data[draw] for draw in draws]), CPU)
    again = degrade_batch(collate_crops([data[draw] for draw in draws]), CPU)
    assert set(batch) == {"lr", "hr", "name"}
    assert torch.equal(batch["lr"], again["lr"])
    alone = make_data(tmp_path, on_device=False)
    for number, draw in enumerate(draws):
        theirs = alone[draw]
        assert batch["name"][number] == theirs["name"]
        apart = (batch["lr"][number] - theirs["lr"]).abs().mean()
        assert apart < 0.25, number  # the same place and orientation, other noise
    assert batch["lr"].mean(dim=(1, 2, 3)).min() > 0


def test_a_batch_without_planned_crops_stays(tmp_path: Path) -> None:
    data = make_data(tmp_path, on_device=True, clean=1.0)
    batch: Crop = collate_crops([data[0, 0], data[1, 1]])
    lr = batch["lr"].clone()
    assert torch.equal(degrade_batch(batch, CPU)["lr"], lr)


def test_a_plan_that_does_nothing_leaves_the_area_average() -> None:
    nothing = StagePlan(None, 1.0, "area", True, 0.0, False, None, 90)
    plan = DegradationPlan((nothing, nothing), None, "area", compress_last=True)
    region = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    (lr,) = degrade_together([region], [PlannedCrop(plan, 0, seed=0)])
    averages = region.reshape(12, 2, 12, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(lr, averages, atol=0.51)
