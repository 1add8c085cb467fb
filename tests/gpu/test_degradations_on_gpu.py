"""Batches degraded on a GPU: like those degraded on the CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sr.data.on_device.batch_degradation import PlannedCrop, degrade_crops
from sr.data.random_degradation import Degradation, Stage, draw_plan
from sr.options.degradations import StageOptions

pytestmark = pytest.mark.gpu

STAGE = Stage(**dict(StageOptions()))
SCALE, LR_SIDE = 4, 24


def make_batch(stage: Stage, count: int = 16) -> tuple[Tensor, list[PlannedCrop]]:
    """Regions of soft noise, and plans."""
    rng = np.random.default_rng(0)
    crops = []
    for number in range(count):
        plan = draw_plan(Degradation((stage, stage), 0.8, 0), rng)
        assert plan is not None
        crops.append(PlannedCrop(plan, plan.compute_margin(SCALE), seed=number))
    side = SCALE * (LR_SIDE + 2 * max(crop.margin for crop in crops))
    noise = torch.rand(count, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(0))
    soft = torch.nn.functional.interpolate(noise, (side, side), mode="bicubic").clamp(0, 1)
    return (soft * 255).to(torch.uint8), crops


def test_without_noise_a_gpu_makes_the_same_lr(device: torch.device) -> None:
    quiet = replace(STAGE, gaussian_probability=1, gaussian_sigma=(0, 0))
    for stage, limit in ((replace(quiet, compression_probability=0), 0.01), (quiet, 1.0)):
        regions, crops = make_batch(stage)
        ours = degrade_crops(regions.to(device), crops, LR_SIDE, SCALE)
        theirs = degrade_crops(regions, crops, LR_SIDE, SCALE)
        assert ours.device.type == device.type
        assert (ours.cpu() - theirs).abs().mean() * 255 < limit


def test_noise_of_a_gpu_is_the_same_each_time_and_as_strong(device: torch.device) -> None:
    regions, crops = make_batch(STAGE)
    ours, again = (degrade_crops(regions.to(device), crops, LR_SIDE, SCALE) for _ in range(2))
    assert torch.equal(ours, again)
    theirs = degrade_crops(regions, crops, LR_SIDE, SCALE)
    for measure in (Tensor.mean, Tensor.std):
        assert float(measure(ours)) == pytest.approx(float(measure(theirs)), rel=0.02)
