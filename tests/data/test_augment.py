from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from sr.data.augment import (
    Augmentation,
    Place,
    cut_square,
    draw_augmentation,
    draw_place,
    measure_detail,
)
from sr.data.sources import Image, Pair

EIGHT = [Augmentation(*switches) for switches in product((False, True), repeat=3)]
each_orientation = pytest.mark.parametrize("augmentation", EIGHT)


def pair(height: int, width: int, scale: int) -> Pair:
    """hr is lr with every pixel repeated; all pixels of lr differ from each other."""
    numbers = np.arange(height * width).reshape(height, width, 1)
    lr = np.concatenate([numbers // 256, numbers % 256, 0 * numbers], axis=2).astype(np.uint8)
    return lr, repeated(lr, scale)


def repeated(lr: Image, scale: int) -> Image:
    return lr.repeat(scale, axis=0).repeat(scale, axis=1)


def draw_in(lr: Image, size: int, candidates: int, rng: np.random.Generator) -> Place:
    """Draw by the detail of lr."""
    return draw_place(
        lr.shape, size, candidates, rng, lambda place: measure_detail(cut_square(lr, place, size))
    )


def test_every_place_is_drawn_also_those_at_the_borders() -> None:
    rng = np.random.default_rng(0)
    lr, _ = pair(5, 6, 2)
    places = {draw_in(lr, 3, 1, rng) for _ in range(300)}
    assert places == {(top, left) for top in range(3) for left in range(4)}


def test_a_crop_as_large_as_the_image_is_the_image() -> None:
    lr, _ = pair(6, 6, 3)
    assert draw_in(lr, 6, 2, np.random.default_rng(0)) == (0, 0)
    np.testing.assert_array_equal(cut_square(lr, (0, 0), 6), lr)


def test_of_several_candidates_the_most_detailed_is_taken() -> None:
    lr, _ = pair(40, 40, 2)
    lr[:, :20] = 0  # the left half is flat
    means = {}
    for candidates in (1, 8):
        rng = np.random.default_rng(0)
        places = [draw_in(lr, 8, candidates, rng) for _ in range(100)]
        means[candidates] = np.mean([measure_detail(cut_square(lr, place, 8)) for place in places])
    assert means[8] > 1.5 * means[1]
    best = draw_in(lr, 8, 5, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    singles = [measure_detail(cut_square(lr, draw_in(lr, 8, 1, rng), 8)) for _ in range(5)]
    assert measure_detail(cut_square(lr, best, 8)) == max(singles)


def test_a_cut_shows_the_square_of_its_place() -> None:
    lr, _ = pair(12, 15, 2)
    np.testing.assert_array_equal(cut_square(lr, (3, 5), 4), lr[3:7, 5:9])
    np.testing.assert_array_equal(cut_square(lr, (3, 5), 4, margin=2), lr[1:9, 3:11])


@pytest.mark.parametrize("place", [(0, 0), (0, 7), (4, 7), (2, 3)])
def test_a_margin_beyond_the_image_is_its_mirror_image(place: Place) -> None:
    lr, _ = pair(9, 12, 2)
    window = cut_square(lr, place, 5, margin=6)
    assert window.shape == (17, 17, 3)
    np.testing.assert_array_equal(cut_square(window, (6, 6), 5), cut_square(lr, place, 5))
    mirrored = np.concatenate([lr[::-1], lr, lr[::-1]])
    mirrored = np.concatenate([mirrored[:, ::-1], mirrored, mirrored[:, ::-1]], axis=1)
    top, left = place[0] + 9 - 6, place[1] + 12 - 6
    np.testing.assert_array_equal(window, mirrored[top : top + 17, left : left + 17])


def test_detail_is_the_mean_difference_of_neighbors_down_and_across() -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    assert measure_detail(image) == 0
    image[:, 2:] = 90  # one step of 90 in each row of three neighboring pairs
    assert measure_detail(image) == 30
    assert measure_detail(image.transpose(1, 0, 2)) == 30
    assert measure_detail(255 - image) == 30


def orientations(flips: bool, transposes: bool) -> set[bytes]:
    lr, hr = pair(4, 4, 2)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        augmentation = draw_augmentation(flips, transposes, rng)
        turned, turned_hr = augmentation.apply(lr), augmentation.apply(hr)
        np.testing.assert_array_equal(turned_hr, repeated(turned, 2))
        seen.add(turned.tobytes())
    return seen


def test_all_eight_orientations_occur_in_lr_and_hr_alike() -> None:
    lr, _ = pair(4, 4, 2)
    turns = [np.rot90(image, k) for image in (lr, lr[::-1]) for k in range(4)]
    assert orientations(True, True) == {turn.tobytes() for turn in turns}


def test_flips_and_transposes_can_be_switched_off() -> None:
    lr, _ = pair(4, 4, 2)
    assert orientations(False, False) == {lr.tobytes()}
    assert orientations(False, True) == {lr.tobytes(), lr.transpose(1, 0, 2).tobytes()}
    flipped = [lr, lr[::-1], lr[:, ::-1], lr[::-1, ::-1]]
    assert orientations(True, False) == {image.tobytes() for image in flipped}


def test_the_same_random_generator_gives_the_same_place_and_orientation() -> None:
    lr, hr = pair(30, 30, 4)
    results = []
    for _ in range(2):
        rng = np.random.default_rng(11)
        place = draw_in(lr, 5, 2, rng)
        augmentation = draw_augmentation(True, True, rng)
        results.append((place, augmentation.apply(lr), augmentation.apply(hr)))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(results[0][2], results[1][2])


def looked_up(frame: Tensor, flow: Tensor) -> Tensor:
    """frame (C, H, W) at x + flow, whole pixels within the frame."""
    height, width = frame.shape[-2:]
    rows = torch.arange(height)[:, None] + flow[1].long()
    columns = torch.arange(width) + flow[0].long()
    return frame[:, rows, columns]


def flow_within(height: int, width: int) -> Tensor:
    """From each pixel to a random one of the frame: (2, height, width)."""
    random = torch.Generator().manual_seed(0)
    columns = torch.randint(width, (height, width), generator=random) - torch.arange(width)
    rows = torch.randint(height, (height, width), generator=random) - torch.arange(height)[:, None]
    return torch.stack([columns, rows]).float()


@each_orientation
def test_frames_are_turned_as_images_are(augmentation: Augmentation) -> None:
    lr, _ = pair(4, 6, 2)
    frames = torch.from_numpy(lr).permute(2, 0, 1).expand(2, 5, 3, 4, 6)
    turned = augmentation.apply_to_frames(frames)
    expected = torch.from_numpy(augmentation.apply(lr).copy()).permute(2, 0, 1)
    assert turned.shape == ((2, 5, 3, 6, 4) if augmentation.swap else (2, 5, 3, 4, 6))
    assert torch.equal(turned[1, 4], expected)


@each_orientation
def test_flow_that_is_turned_leads_where_it_led(augmentation: Augmentation) -> None:
    frame, flow = torch.rand(3, 5, 7), flow_within(5, 7)
    expected = augmentation.apply_to_frames(looked_up(frame, flow))
    assert torch.equal(
        looked_up(augmentation.apply_to_frames(frame), augmentation.apply_to_flows(flow)), expected
    )


@each_orientation
def test_several_flows_are_turned_each_alike(augmentation: Augmentation) -> None:
    flows = torch.stack([flow_within(5, 7), 2 * flow_within(5, 7)])
    turned = augmentation.apply_to_flows(flows)
    assert torch.equal(turned, torch.stack([augmentation.apply_to_flows(flow) for flow in flows]))
    assert turned.abs().sum() == flows.abs().sum()


def test_the_eight_orientations_turn_a_flow_into_eight_directions() -> None:
    flow = torch.tensor([2.0, 1.0]).view(2, 1, 1).expand(2, 3, 4)
    directions = {
        tuple(augmentation.apply_to_flows(flow)[:, 0, 0].tolist()) for augmentation in EIGHT
    }
    assert directions == {
        (across, down)
        for across, down in product((-2, -1, 1, 2), repeat=2)
        if abs(across) != abs(down)
    }
