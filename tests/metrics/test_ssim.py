from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imread
from skimage.metrics import structural_similarity
from torch import Tensor

from sr.data.imresize import imresize
from sr.metrics.luma import Channel, crop_and_quantize
from sr.metrics.ssim import ssim

CHANNELS: list[Channel] = ["y", "rgb"]


def pair(height: int = 32, width: int = 45) -> tuple[Tensor, Tensor]:
    """An image of waves and a noisy copy, both on the 8-bit grid."""
    random = torch.Generator().manual_seed(0)
    rows, columns = torch.arange(height)[:, None] / 5, torch.arange(width) / 7
    waves = torch.stack(
        [rows.sin() * columns.cos(), (rows + columns).sin(), columns.sin() + rows * 0]
    )
    hr = (127 + 100 * waves).round() / 255
    noise = torch.randint(-20, 21, hr.shape, generator=random) / 255
    return (hr + noise).clamp(0, 1), hr


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("border", [0, 4])
def test_the_mean_agrees_with_scikit_image(channel: Channel, border: int) -> None:
    sr, hr = pair()
    expected = []
    for x, y in zip(*crop_and_quantize(sr, hr, border=border, channel=channel), strict=True):
        _, index_map = structural_similarity(
            x.numpy(),
            y.numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            full=True,
        )
        expected.append(index_map[5:-5, 5:-5].mean())
    assert ssim(sr, hr, border=border, channel=channel) == pytest.approx(
        np.mean(expected), abs=1e-9
    )


@pytest.mark.parametrize("channel", CHANNELS)
def test_equal_images_have_ssim_one(channel: Channel) -> None:
    _, hr = pair()
    assert ssim(hr, hr.clone(), border=4, channel=channel) == pytest.approx(1, abs=1e-12)
    flat = torch.zeros(3, 12, 12)
    assert ssim(flat, flat, border=0, channel=channel) == pytest.approx(1, abs=1e-12)


def test_two_flat_images_have_the_ssim_of_the_formula() -> None:
    sr, hr = torch.full((3, 12, 13), 50 / 255), torch.full((3, 12, 13), 200 / 255)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 200 + c1) / (50**2 + 200**2 + c1)
    assert ssim(sr, hr, border=0, channel="rgb") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("channel", CHANNELS)
def test_exchanging_or_flipping_both_images_changes_nothing(channel: Channel) -> None:
    sr, hr = pair()
    expected = pytest.approx(ssim(sr, hr, border=4, channel=channel), abs=1e-12)
    assert ssim(hr, sr, border=4, channel=channel) == expected
    assert ssim(sr.flip(-1), hr.flip(-1), border=4, channel=channel) == expected
    assert ssim(sr.flip(-2), hr.flip(-2), border=4, channel=channel) == expected
    assert ssim(sr.mT, hr.mT, border=4, channel=channel) == expected


def test_what_lies_in_the_border_does_not_count() -> None:
    sr, hr = pair()
    damaged = sr.clone()
    damaged[:, :4], damaged[:, -4:], damaged[..., :4], damaged[..., -4:] = 0, 1, 1, 0
    assert ssim(damaged, hr, border=4, channel="y") == ssim(sr, hr, border=4, channel="y")


def test_a_batch_dimension_of_one_is_taken() -> None:
    sr, hr = pair()
    expected = ssim(sr, hr, border=4, channel="rgb")
    assert ssim(sr[None], hr[None], border=4, channel="rgb") == expected


def test_an_image_of_one_window_is_taken_and_a_smaller_one_refused() -> None:
    sr, hr = pair()
    assert ssim(sr[:, :19, :19], hr[:, :19, :19], border=4, channel="y") < 1
    with pytest.raises(ValueError, match=r"at least 11 x 11 px .* got height 11, width 10"):
        ssim(sr[:, :19, :18], hr[:, :19, :18], border=4, channel="y")


def test_unequal_sizes_are_refused() -> None:
    sr, hr = pair()
    with pytest.raises(ValueError, match="same height and width"):
        ssim(sr[..., 1:], hr, border=4, channel="y")


def test_bicubic_on_set5_x4_has_the_published_ssim(shared_data: Path) -> None:
    values = []
    for path in sorted((shared_data / "benchmarks" / "Set5" / "HR").glob("*.png")):
        hr = imread(path)
        bicubic = imresize(imresize(hr, Fraction(1, 4)), 4)
        sr, hr = (torch.from_numpy(x).permute(2, 0, 1) / 255 for x in (bicubic, hr))
        values.append(ssim(sr, hr, border=4, channel="y"))
    assert len(values) == 5
    assert np.mean(values) == pytest.approx(0.8104, abs=0.002)
