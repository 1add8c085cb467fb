"""Our scores against BasicSR's, which papers quote; skipped where it is not installed."""

import importlib.util

import numpy as np
import pytest
import torch

from sr.metrics.luma import Channel
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim
from sr.networks.basicsr_network import networks_of_basicsr

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None, reason="needs BasicSR, see the README"
)


@pytest.mark.parametrize("noise", [2, 40])
@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("channel", ["y", "rgb"])
def test_psnr_and_ssim_are_those_of_basicsr(channel: Channel, border: int, noise: int) -> None:
    networks_of_basicsr()  # which makes BasicSR importable
    from basicsr.metrics import calculate_psnr, calculate_ssim

    rng = np.random.default_rng(noise)
    smooth = np.kron(rng.integers(0, 256, (6, 7, 3)), np.ones((8, 8, 1)))
    noisy = np.clip(np.rint(smooth + rng.normal(0, noise, smooth.shape)), 0, 255)
    common = {"crop_border": border, "input_order": "HWC", "test_y_channel": channel == "y"}
    bgr = [image[..., ::-1] for image in (noisy, smooth)]
    ours = [torch.from_numpy(image / 255).permute(2, 0, 1).float() for image in (noisy, smooth)]
    assert psnr(*ours, border=border, channel=channel) == pytest.approx(
        calculate_psnr(*bgr, **common), abs=1e-4
    )
    assert ssim(*ours, border=border, channel=channel) == pytest.approx(
        calculate_ssim(*bgr, **common), abs=1e-5
    )
