from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sr.data.contact_sheet import make_contact_sheet, write_contact_sheet
from sr.data.crops import Crop
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_rgb8


def batches(batch_size: int = 2, scale: int = 2, side: int = 3) -> Iterator[Crop]:
    """Without end; pair n has lr of level 2n and hr of level 2n + 1."""
    number = 0
    while True:
        levels = torch.arange(number, number + batch_size).reshape(-1, 1, 1, 1) * 2
        yield {
            "lr": (levels / 255).expand(-1, 3, side, side),
            "hr": ((levels + 1) / 255).expand(-1, 3, scale * side, scale * side),
            "name": "",
        }
        number += batch_size


@pytest.mark.parametrize("num_pairs", [1, 2, 5, 18])
def test_each_pair_is_shown_once_in_order_lr_left_of_hr(num_pairs: int) -> None:
    sheet = make_contact_sheet(batches(), num_pairs)
    assert sheet.dtype == np.uint8
    # Without the gray between them the levels are those of the pairs, 6 rows each.
    flat = [int(level) for level in sheet[:, :, 0].ravel() if level != 96]
    assert sorted(set(flat)) == list(range(2 * num_pairs))
    assert all(flat.count(level) == 36 for level in set(flat))
    firsts = list(dict.fromkeys(flat))
    assert firsts == list(range(2 * num_pairs))


def test_the_lr_pixels_are_repeated_to_the_size_of_hr() -> None:
    lr = torch.rand(1, 3, 2, 2)
    hr = torch.rand(1, 3, 8, 8)
    sheet = make_contact_sheet([{"lr": lr, "hr": hr, "name": ""}], 1)
    assert sheet.shape == (8, 16, 3)
    enlarged = torch.nn.functional.interpolate(lr, scale_factor=4.0, mode="nearest")
    expected = torch.cat([enlarged, hr], dim=3)[0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(sheet, expected, atol=0.51)


def test_many_pairs_make_a_nearly_square_sheet() -> None:
    height, width, _ = make_contact_sheet(batches(side=16), 32).shape
    assert 0.7 < height / width < 1.4


def test_fewer_pairs_are_shown_where_the_batches_end_before() -> None:
    one = next(batches(batch_size=3))
    np.testing.assert_array_equal(make_contact_sheet([one], 10), make_contact_sheet(batches(), 3))


def test_a_sheet_without_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a pair to show, got none of 4"):
        make_contact_sheet([], 4)
    with pytest.raises(ValueError, match="got none of 0"):
        make_contact_sheet(batches(), 0)


def test_the_sheet_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "crops.png"
    write_contact_sheet(path, batches(), 6)
    np.testing.assert_array_equal(read_rgb8(path), make_contact_sheet(batches(), 6))
    with pytest.raises(ImageError, match=r"crops\.png"):
        write_contact_sheet(tmp_path / "nowhere" / "crops.png", batches(), 6)
