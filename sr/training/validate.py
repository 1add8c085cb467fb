"""Scores of a generator on whole images, next to bicubic's."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from sr.data.clips import load_samples
from sr.data.imresize import imresize
from sr.data.sources import Source
from sr.io.rgb8 import image_to_tensor
from sr.losses.lpips import LPIPS
from sr.metrics.luma import crop_and_quantize
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim
from sr.motion.frame_window import Window

ValidationSets = Mapping[str, Sequence[Source[Any]]]
Scores = dict[str, dict[str, float]]  # set -> metric -> mean over its images
Upscale = Callable[[tuple[Tensor, ...]], Tensor]
OnImage = Callable[[str, int, Tensor, Tensor, Tensor], None]  # set, index, lr, sr, hr


class ValidationInterrupted(Exception):  # noqa: N818, nothing is wrong
    """A validation that is given up for a signal; raised by `OnImage`."""


MIN_SIDE = {"SSIM": 11, "VGG16": 16, "AlexNet": 31}
"""Pixels, the border not counted, of the smallest image that a measure takes: SSIM's window, and
what the halvings of LPIPS' networks leave something of."""


def validate(
    network: nn.Module,
    sets: ValidationSets,
    scale: int,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
    on_image: OnImage,
    lpips: LPIPS | None = None,
    window: Window | None = None,
) -> Scores:
    """Return means of PSNR (dB) and SSIM on Y and on RGB, with a border of `scale` pixels left out.

    With lpips, which is on `device`, also LPIPS of the same pixels, in 8 bits, computed in fp32.
    network: in eval mode, in its own device's memory. on_image is shown each result. window: of
    a network that sees several frames. A clip counts as as many images as it has frames.
    """

    def upscale(inputs: tuple[Tensor, ...]) -> Tensor:
        with torch.inference_mode(), autocast():
            sr: Tensor = network(*(each.to(device) for each in inputs))
        return sr.float().cpu()

    return _score(upscale, sets, scale, on_image, lpips, window)


def validate_bicubic(sets: ValidationSets, scale: int, lpips: LPIPS | None = None) -> Scores:
    """Return the same scores of MATLAB's bicubic upscaling: what a network must beat.

    At scale 1 it is the input itself.
    """

    def upscale(inputs: tuple[Tensor, ...]) -> Tensor:
        image = (inputs[0][0] * 255).round().byte().permute(1, 2, 0).numpy()
        return image_to_tensor(imresize(image, scale))

    return _score(upscale, sets, scale, lambda *_: None, lpips, window=None)


def checkpoint_score(scores: Scores, *, adversarial: bool) -> float | None:
    """Return by what the best checkpoint is chosen, higher being better; a mean over the sets.

    It is Y-PSNR. Adversarial training lowers that, and its best would be the one that has learned
    least: there it is LPIPS, negated, and None where that was not measured.
    """
    if not adversarial:
        return fmean(values["psnr_y"] for values in scores.values())
    if not all("lpips" in values for values in scores.values()):
        return None
    return -fmean(values["lpips"] for values in scores.values())


def _score(
    upscale: Upscale,
    sets: ValidationSets,
    scale: int,
    on_image: OnImage,
    lpips: LPIPS | None,
    window: Window | None,
) -> Scores:
    scores: Scores = {}
    for name, sources in sets.items():
        rows = []
        images = (sample for source in sources for sample in load_samples(source, window))
        for index, (inputs, hr) in enumerate(images):
            sr = upscale(inputs)
            rows.append(_measure(sr, hr, scale, lpips))
            on_image(name, index, inputs[0], sr, hr)
        scores[name] = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    return scores


def _measure(sr: Tensor, hr: Tensor, border: int, lpips: LPIPS | None) -> dict[str, float]:
    scores = {
        "psnr_y": psnr(sr, hr, border=border, channel="y"),
        "ssim_y": ssim(sr, hr, border=border, channel="y"),
        "psnr_rgb": psnr(sr, hr, border=border, channel="rgb"),
        "ssim_rgb": ssim(sr, hr, border=border, channel="rgb"),
    }
    if lpips is not None:
        images = crop_and_quantize(sr, hr, border=border, channel="rgb")  # in [0, 255]
        device = lpips.features.mean.device
        x, y = ((image[None] / 255).to(device, torch.float32) for image in images)
        with torch.inference_mode():
            scores["lpips"] = float(lpips(x, y))
    return scores
