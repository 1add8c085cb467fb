import numpy as np
import pytest

from sr.data.crop_and_flip import Pair, Picture, detail, random_crop, random_orientation


def pair(height: int, width: int, scale: int) -> Pair:
    """hr is lr with every pixel repeated; all pixels of lr differ from each other."""
    numbers = np.arange(height * width).reshape(height, width, 1)
    lr = np.concatenate([numbers // 256, numbers % 256, 0 * numbers], axis=2).astype(np.uint8)
    return lr, repeated(lr, scale)


def repeated(lr: Picture, scale: int) -> Picture:
    return lr.repeat(scale, axis=0).repeat(scale, axis=1)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("candidates", [1, 3])
def test_crops_of_lr_and_hr_show_the_same_place(scale: int, candidates: int) -> None:
    rng = np.random.default_rng(0)
    lr, hr = pair(19, 31, scale)
    for _ in range(20):
        lr_crop, hr_crop = random_crop(lr, hr, 6, candidates, rng)
        assert lr_crop.shape == (6, 6, 3)
        np.testing.assert_array_equal(hr_crop, repeated(lr_crop, scale))


def test_every_place_is_drawn_also_those_at_the_borders() -> None:
    rng = np.random.default_rng(0)
    lr, hr = pair(5, 6, 2)
    corners = {tuple(random_crop(lr, hr, 3, 1, rng)[0][0, 0]) for _ in range(300)}
    assert corners == {tuple(lr[top, left]) for top in range(3) for left in range(4)}


def test_a_crop_as_large_as_the_picture_is_the_picture() -> None:
    lr, hr = pair(6, 6, 3)
    lr_crop, hr_crop = random_crop(lr, hr, 6, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(lr_crop, lr)
    np.testing.assert_array_equal(hr_crop, hr)


def test_of_several_candidates_the_most_detailed_is_taken() -> None:
    lr, hr = pair(40, 40, 2)
    lr[:, :20], hr[:, :40] = 0, 0  # the left half is flat
    means = {}
    for candidates in (1, 8):
        rng = np.random.default_rng(0)
        crops = [random_crop(lr, hr, 8, candidates, rng)[0] for _ in range(100)]
        means[candidates] = np.mean([detail(crop) for crop in crops])
    assert means[8] > 1.5 * means[1]
    rng = np.random.default_rng(3)
    best, _ = random_crop(lr, hr, 8, 5, rng)
    rng = np.random.default_rng(3)
    singles = [detail(random_crop(lr, hr, 8, 1, rng)[0]) for _ in range(5)]
    assert detail(best) == max(singles)


def test_detail_is_the_mean_difference_of_neighbours_down_and_across() -> None:
    picture = np.zeros((3, 4, 3), np.uint8)
    assert detail(picture) == 0
    picture[:, 2:] = 90  # one step of 90 in each row of three neighbouring pairs
    assert detail(picture) == 30
    assert detail(picture.transpose(1, 0, 2)) == 30
    assert detail(255 - picture) == 30


def orientations(flips: bool, transposes: bool) -> set[bytes]:
    lr, hr = pair(4, 4, 2)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        turned, turned_hr = random_orientation(lr, hr, flips, transposes, rng)
        np.testing.assert_array_equal(turned_hr, repeated(turned, 2))
        seen.add(turned.tobytes())
    return seen


def test_all_eight_orientations_occur_in_lr_and_hr_alike() -> None:
    lr, _ = pair(4, 4, 2)
    turns = [np.rot90(picture, k) for picture in (lr, lr[::-1]) for k in range(4)]
    assert orientations(True, True) == {turn.tobytes() for turn in turns}


def test_flips_and_transposes_can_be_switched_off() -> None:
    lr, _ = pair(4, 4, 2)
    assert orientations(False, False) == {lr.tobytes()}
    assert orientations(False, True) == {lr.tobytes(), lr.transpose(1, 0, 2).tobytes()}
    flipped = [lr, lr[::-1], lr[:, ::-1], lr[::-1, ::-1]]
    assert orientations(True, False) == {picture.tobytes() for picture in flipped}


def test_the_same_random_generator_gives_the_same_crop_and_orientation() -> None:
    lr, hr = pair(30, 30, 4)
    results = []
    for _ in range(2):
        rng = np.random.default_rng(11)
        crop = random_crop(lr, hr, 5, 2, rng)
        results.append(random_orientation(*crop, True, True, rng))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
