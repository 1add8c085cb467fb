from typing import Any

import torch
from torch.utils.data import Dataset

from sr.data.crops import Crop
from sr.data.sampler import Draw
from sr.data.zoomed_crops import ZoomedCropDataset


class Ramps(Dataset[Crop]):
    """hr whose values are their place; leading axes as clips have them, if wanted."""

    def __init__(self, *leading: int) -> None:
        self.leading = leading

    def __getitem__(self, draw: Draw) -> Any:
        hr = torch.arange(16 * 24.0).reshape(16, 24).expand(*self.leading, 3, 16, 24)
        return {"lr": torch.zeros(*self.leading, 3, 4, 6), "hr": hr, "name": "ramp"}


def zoomed(number: int, seed: int = 0) -> torch.Tensor:
    return ZoomedCropDataset(Ramps(), seed)[0, number]["zoomed"]


def test_a_zoomed_crop_is_a_part_of_hr_as_large_as_lr() -> None:
    hr = Ramps()[0, 0]["hr"]
    for number in range(50):
        part = zoomed(number)
        top, left = divmod(int(part[0, 0, 0]), 24)
        assert torch.equal(part, hr[:, top : top + 4, left : left + 6])


def test_it_depends_on_the_seed_and_the_draw_and_reaches_every_border() -> None:
    assert torch.equal(zoomed(3), zoomed(3))
    parts = [zoomed(number) for number in range(200)]
    assert not all(torch.equal(part, zoomed(n, seed=1)) for n, part in enumerate(parts[:9]))
    tops, lefts = zip(*(divmod(int(part[0, 0, 0]), 24) for part in parts), strict=True)
    assert set(tops) == set(range(16 - 4 + 1))
    assert set(lefts) == set(range(24 - 6 + 1))


def test_frames_of_clips_are_zoomed_at_one_place() -> None:
    part = ZoomedCropDataset(Ramps(2), 0)[0, 7]["zoomed"]
    assert part.shape == (2, 3, 4, 6)
    assert torch.equal(part[0], part[1])


def test_nothing_else_of_a_sample_changes() -> None:
    plain, more = Ramps()[0, 1], ZoomedCropDataset(Ramps(), 0)[0, 1]
    assert {name for name in more if name not in plain} == {"zoomed"}
    assert torch.equal(plain["hr"], more["hr"])
