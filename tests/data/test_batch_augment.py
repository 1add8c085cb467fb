from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from sr.data.batch_augment import (
    BatchAugmentation,
    augment_batch,
    augment_batches,
    change_crop,
    downscale,
    draw_box,
)
from sr.data.crops import Crop

SCALE = 2
KINDS = ("rgb", "blend", "mixup", "cutmix", "cutmixup", "cutblur")
ALL = BatchAugmentation(1.0, dict.fromkeys(KINDS, 1.0))


def enlarge(lr: Tensor) -> Tensor:
    return lr.repeat_interleave(SCALE, -1).repeat_interleave(SCALE, -2)


def make_images(seed: int, *, with_target: bool = False) -> dict[str, Tensor]:
    """hr and target are lr with every pixel repeated."""
    lr = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(seed))
    return {"lr": lr, "hr": enlarge(lr)} | ({"target": enlarge(lr)} if with_target else {})


def make_batch(size: int = 4) -> Crop:
    images = [make_images(seed) for seed in range(size)]
    return {
        "lr": torch.stack([each["lr"] for each in images]),
        "hr": torch.stack([each["hr"] for each in images]),
        "name": [str(number) for number in range(size)],  # type: ignore[typeddict-item]
    }


def change(kind: str, seed: int = 0, *, with_target: bool = False) -> dict[str, Tensor]:
    images = make_images(0, with_target=with_target)
    others = make_images(1, with_target=with_target)
    return change_crop(kind, images, others, SCALE, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cutblur"])
def test_lr_and_hr_and_target_change_alike(kind: str) -> None:
    for seed in range(5):
        made = change(kind, seed, with_target=True)
        torch.testing.assert_close(made["hr"], enlarge(made["lr"]), rtol=0, atol=0)
        torch.testing.assert_close(made["target"], made["hr"], rtol=0, atol=0)
        assert 0 <= made["lr"].min() <= made["lr"].max() <= 1
    assert any(not torch.equal(change(kind, seed)["lr"], make_images(0)["lr"]) for seed in range(5))


def test_rgb_only_permutes_channels() -> None:
    lr, orders = make_images(0)["lr"], set()
    for seed in range(60):
        made = change("rgb", seed)["lr"]
        order = [int((lr == channel).flatten(1).all(1).nonzero()) for channel in made]
        assert sorted(order) == [0, 1, 2]
        orders.add(tuple(order))
    assert len(orders) == 6


def test_mixup_is_a_weighted_mean_with_the_other_crop() -> None:
    one, other = make_images(0)["lr"], make_images(1)["lr"]
    weights = []
    for seed in range(200):
        made = change("mixup", seed)["lr"]
        weight = ((made - other) * (one - other)).sum() / ((one - other) ** 2).sum()
        torch.testing.assert_close(made, weight * one + (1 - weight) * other)
        weights.append(float(weight))
    assert np.mean(weights) == pytest.approx(0.5, abs=0.05)
    assert np.var(weights) == pytest.approx(1 / (4 * (2 * 1.2 + 1)), rel=0.3)  # Beta(1.2, 1.2)


def test_blend_keeps_at_least_0_6_of_the_crop_and_adds_one_color() -> None:
    lr = make_images(0)["lr"]
    for seed in range(20):
        made = change("blend", seed)["lr"]
        weight = float(made.std() / lr.std())
        color = (made - weight * lr).flatten(1)
        assert 0.55 < weight <= 1.05  # of a ratio that the colors also change
        weight = float((made[0] - made[0].mean()).norm() / (lr[0] - lr[0].mean()).norm())
        assert 0.6 <= weight <= 1
        color = (made - weight * lr).flatten(1)
        assert (color.amax(1) - color.amin(1)).max() < 1e-5


def assert_is_a_box(mask: Tensor) -> None:
    """mask: (h, w), in which one of the values fills a rectangle of about 0.7 of each side."""
    for value in (mask, ~mask):
        rows, columns = value.any(1).nonzero()[:, 0], value.any(0).nonzero()[:, 0]
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        if int(value.sum()) == height * width and height in (6, 7):
            assert width in (6, 7)
            return
    raise AssertionError(mask)


def test_cutmix_pastes_a_part_of_the_other_crop() -> None:
    one, other = make_images(0)["lr"], make_images(1)["lr"]
    for seed in range(20):
        made = change("cutmix", seed)["lr"]
        from_other = (made == other).all(0)
        assert torch.equal(torch.where(from_other, other, one), made)
        assert_is_a_box(from_other)


def test_cutmixup_mixes_inside_or_outside_of_a_part() -> None:
    one, sides = make_images(0)["lr"], set()
    for seed in range(20):
        mixed = (change("cutmixup", seed)["lr"] != one).any(0)
        assert_is_a_box(mixed)
        sides.add(int(mixed.sum()) > 45)
    assert sides == {True, False}


def test_cutblur_pastes_downscaled_hr_into_lr_or_lr_into_that() -> None:
    hr = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    hr, lr = (hr * 255).round() / 255, torch.zeros(3, 10, 10)
    sides = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        made = change_crop("cutblur", {"lr": lr, "hr": hr}, {}, SCALE, rng)
        assert made.keys() == {"lr"}
        clean = (made["lr"] != 0).any(0)
        assert_is_a_box(clean)
        assert torch.equal(made["lr"], torch.where(clean, downscale(hr, SCALE), lr))
        sides.add(int(clean.sum()) > 51)
    assert not (lr != 0).any()
    target = {"lr": lr, "hr": hr, "target": 1 - hr}
    of_target = change_crop("cutblur", target, {}, SCALE, np.random.default_rng(0))["lr"]
    clean = (of_target != 0).any(0)
    assert torch.equal(of_target[:, clean], downscale(1 - hr, SCALE)[:, clean])


def test_at_scale_1_cutblur_takes_hr_itself() -> None:
    hr = torch.rand(3, 8, 8)
    assert torch.equal(downscale(hr, 1), hr)


def test_parts_lie_everywhere_in_the_crop() -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_box(torch.zeros(3, 10, 20), rng) for _ in range(200)]
    assert {box.top for box in boxes} >= {0, 1, 2, 3}
    assert min(box.left for box in boxes) == 0
    assert max(box.left + box.width for box in boxes) == 20


def test_the_given_share_of_the_crops_is_augmented_by_the_kinds_in_their_shares() -> None:
    some = BatchAugmentation(0.5, {"mixup": 3.0, "cutmix": 1.0})
    found: Counter[str] = Counter()
    for first in range(0, 1000, 4):
        for name in augment_batch(make_batch(), some, SCALE, 0, first)["name"]:
            words = name.split(", ")
            found[words[1].split()[0] if len(words) > 1 else ""] += 1
    assert found[""] == pytest.approx(500, abs=50)
    assert found["mixup"] == pytest.approx(375, abs=50)
    assert found["cutmix"] == pytest.approx(125, abs=40)


def test_crops_are_mixed_as_they_were_before_any_changed() -> None:
    mixup = BatchAugmentation(1.0, {"mixup": 1.0})
    batch, made = make_batch(), augment_batch(make_batch(), mixup, SCALE, 0, 0)
    for index, name in enumerate(made["name"]):
        own, other = (int(number) for number in name.split(", mixup with "))
        assert own == index != other
        span = batch["lr"][own] - batch["lr"][other]
        weight = ((made["lr"][index] - batch["lr"][other]) * span).sum() / (span**2).sum()
        expected = batch["lr"][other] + weight * span
        torch.testing.assert_close(made["lr"][index], expected)


def test_the_numbers_of_the_draws_decide_so_that_a_run_can_go_on() -> None:
    def batches() -> Iterator[Crop]:
        while True:
            yield make_batch()

    whole = augment_batches(batches(), ALL, SCALE, 0, 100, 8)
    next(whole)
    second = next(whole)
    resumed = next(augment_batches(batches(), ALL, SCALE, 0, 108, 8))
    assert resumed["name"] == second["name"]
    assert torch.equal(resumed["lr"], second["lr"])
    other = next(augment_batches(batches(), ALL, SCALE, 1, 108, 8))
    assert not torch.equal(other["lr"], second["lr"])
