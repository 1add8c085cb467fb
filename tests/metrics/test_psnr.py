import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imread
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from sr.data.imresize import imresize
from sr.metrics.luma import Channel, crop_and_quantize
from sr.metrics.psnr import psnr

CHANNELS: list[Channel] = ["y", "rgb"]


def pair(height: int = 24, width: int = 31) -> tuple[Tensor, Tensor]:
    """A random image and a noisy copy, both on the 8-bit grid."""
    random = torch.Generator().manual_seed(0)
    hr = torch.randint(0, 256, (3, height, width), generator=random) / 255
    noise = torch.randint(-20, 21, hr.shape, generator=random) / 255
    return (hr + noise).clamp(0, 1), hr


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("border", [0, 4])
def test_equal_images_have_infinite_psnr(channel: Channel, border: int) -> None:
    _, hr = pair()
    assert psnr(hr, hr.clone(), border=border, channel=channel) == math.inf


@pytest.mark.parametrize("border", [0, 3])
def test_rgb_agrees_with_scikit_image(border: int) -> None:
    sr, hr = pair()
    inside = slice(border, -border or None)
    sr8, hr8 = ((x * 255).round().byte().numpy()[:, inside, inside] for x in (sr, hr))
    expected = peak_signal_noise_ratio(hr8, sr8, data_range=255)
    assert psnr(sr, hr, border=border, channel="rgb") == pytest.approx(expected, abs=1e-9)


def test_luma_of_the_primaries_is_bt601() -> None:
    colors = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    image = torch.tensor(colors, dtype=torch.float32).T[:, None]  # (3, 1, 5)
    luma, _ = crop_and_quantize(image, image, border=0, channel="y")
    assert luma.flatten().tolist() == pytest.approx([16, 81.481, 144.553, 40.966, 235])


def test_one_gray_level_apart_everywhere_has_the_psnr_of_the_formula() -> None:
    hr = torch.full((3, 8, 8), 100 / 255)
    sr = torch.full((3, 8, 8), 101 / 255)
    assert psnr(sr, hr, border=0, channel="rgb") == pytest.approx(20 * math.log10(255))
    luma_step = 219 / 255  # black to white are 219 steps of luma
    expected = 20 * math.log10(255 / luma_step)
    assert psnr(sr, hr, border=0, channel="y") == pytest.approx(expected)


@pytest.mark.parametrize("channel", CHANNELS)
def test_images_are_compared_as_8_bit_files_would_be(channel: Channel) -> None:
    sr, hr = pair()
    expected = psnr(sr, hr, border=2, channel=channel)
    assert psnr(sr + 0.4 / 255, hr - 0.4 / 255, border=2, channel=channel) == expected
    white, brighter = torch.ones(3, 8, 8), torch.full((3, 8, 8), 1.7)
    assert psnr(white, brighter, border=0, channel=channel) == math.inf
    assert psnr(torch.zeros(3, 8, 8), -brighter, border=0, channel=channel) == math.inf


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_lies_in_the_border_does_not_count(channel: Channel) -> None:
    sr, hr = pair()
    damaged = sr.clone()
    damaged[:, :4], damaged[:, -4:], damaged[..., :4], damaged[..., -4:] = 0, 1, 1, 0
    expected = psnr(sr, hr, border=4, channel=channel)
    assert psnr(damaged, hr, border=4, channel=channel) == expected
    assert psnr(damaged, hr, border=3, channel=channel) < expected


@pytest.mark.parametrize("channel", CHANNELS)
def test_flipping_both_images_changes_nothing(channel: Channel) -> None:
    sr, hr = pair()
    flipped = psnr(sr.flip(-1), hr.flip(-1), border=4, channel=channel)
    assert flipped == pytest.approx(psnr(sr, hr, border=4, channel=channel), abs=1e-9)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_batch_dimension_of_one_and_half_precision_are_taken(channel: Channel) -> None:
    sr, hr = pair()
    expected = psnr(sr, hr, border=4, channel=channel)
    assert psnr(sr[None], hr, border=4, channel=channel) == expected
    assert psnr(sr[None].double(), hr[None].half(), border=4, channel=channel) == expected


def test_an_image_that_requires_gradients_is_taken() -> None:
    sr, hr = pair()
    assert psnr(sr.requires_grad_(), hr, border=0, channel="y") > 0


@pytest.mark.parametrize(
    ("sr_shape", "hr_shape", "border", "message"),
    [
        ((3, 8, 8), (3, 8, 9), 0, r"same height and width, got \(8, 8\) and \(8, 9\)"),
        ((3, 8, 8), (1, 8, 8), 0, r"hr: expected .* got \(1, 8, 8\)"),
        ((2, 3, 8, 8), (2, 3, 8, 8), 0, r"sr: expected .* got \(2, 3, 8, 8\)"),
        ((3, 8, 9), (3, 8, 9), 4, "twice the border of 4 px, got height 8, width 9"),
        ((3, 8, 8), (3, 8, 8), -1, "border: expected 0 or more pixels, got -1"),
    ],
)
def test_unusable_shapes_are_refused(
    sr_shape: tuple[int, ...], hr_shape: tuple[int, ...], border: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        psnr(torch.zeros(sr_shape), torch.zeros(hr_shape), border=border, channel="y")


def test_integers_and_unknown_channels_are_refused() -> None:
    _, hr = pair()
    with pytest.raises(ValueError, match="uint8"):
        psnr((hr * 255).byte(), hr, border=0, channel="y")
    with pytest.raises(ValueError, match="expected 'y' or 'rgb', got 'luma'"):
        psnr(hr, hr, border=0, channel="luma")  # type: ignore[arg-type]  # the mistake under test


def test_bicubic_on_set5_x4_has_the_published_psnr(shared_data: Path) -> None:
    values = []
    for path in sorted((shared_data / "benchmarks" / "Set5" / "HR").glob("*.png")):
        hr = imread(path)
        bicubic = imresize(imresize(hr, Fraction(1, 4)), 4)
        sr, hr = (torch.from_numpy(x).permute(2, 0, 1) / 255 for x in (bicubic, hr))
        values.append(psnr(sr, hr, border=4, channel="y"))
    assert len(values) == 5
    assert np.mean(values) == pytest.approx(28.42, abs=0.02)
