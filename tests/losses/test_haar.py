import pytest
import torch

from sr.losses.haar import detail_distance, split_bands


def test_the_bands_of_one_square_are_those_of_the_hand() -> None:
    square = torch.tensor([[1.0, 2.0], [4.0, 8.0]]).view(1, 1, 2, 2)
    low, details = split_bands(square)
    assert low.item() == (1 + 2 + 4 + 8) / 2
    across, down, diagonal = (1 - 2 + 4 - 8) / 2, (1 + 2 - 4 - 8) / 2, (1 - 2 - 4 + 8) / 2
    assert details.flatten().tolist() == [across, down, diagonal]


def test_the_transform_keeps_the_energy() -> None:
    image = torch.rand(2, 3, 8, 6)
    low, details = split_bands(image)
    assert low.shape == (2, 3, 4, 3)
    assert details.shape == (2, 9, 4, 3)
    energy = low.square().sum() + details.square().sum()
    assert energy.item() == pytest.approx(image.square().sum().item(), rel=1e-5)


def test_with_all_levels_the_squares_are_those_of_the_image_without_its_mean() -> None:
    sr, hr = torch.rand(2, 1, 1, 8, 8, dtype=torch.float64)
    total = sum(
        (3 * 64 / 4**level)
        * (
            detail_distance(sr, hr, levels=level, criterion="MSE")
            - (detail_distance(sr, hr, levels=level - 1, criterion="MSE") if level > 1 else 0)
        )
        for level in (1, 2, 3)
    )
    error = sr - hr
    assert float(total) == pytest.approx((error - error.mean()).square().sum().item())


def test_an_error_that_is_the_same_everywhere_does_not_count() -> None:
    hr = torch.rand(1, 3, 9, 8)
    assert detail_distance(hr + 0.25, hr, levels=3, criterion="L1").item() == pytest.approx(
        0, abs=1e-6
    )


def test_an_odd_last_row_is_left_out() -> None:
    hr = torch.rand(1, 3, 9, 9)
    sr = hr.clone()
    sr[..., 8, :] += 1
    assert detail_distance(sr, hr, levels=1, criterion="L1") == 0
