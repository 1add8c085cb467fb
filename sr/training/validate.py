"""Scores of a generator on whole images, next to bicubic's."""

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sr.data.bounded_map import map_bounded
from sr.data.clips import Sample, load_samples
from sr.data.imresize import imresize
from sr.data.lr_only import LRImage
from sr.data.sources import Source, raise_faults, refuse_small_images
from sr.device import full_fp32, tune_convolutions
from sr.io.rgb8 import image_to_tensor
from sr.losses.dists import DISTS
from sr.losses.lpips import LPIPS
from sr.metrics.luma import crop_and_quantize
from sr.metrics.niqe import BLOCK_SIZE, MIN_BLOCKS, count_blocks
from sr.metrics.niqe import niqe as measure_niqe
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim
from sr.motion.frame_window import Window
from sr.tiling.upscaler import Upscaler

ValidationSets = Mapping[str, Sequence[Source[Any]]]
Scores = dict[str, dict[str, float]]  # set -> metric -> mean over its images
ScoreName = Literal["psnr_y", "lpips", "niqe"]
Result = tuple[Tensor, Tensor | None]  # sr, hr
Measured = tuple[Result, dict[str, float]]
OnImage = Callable[[str, int, Tensor, Tensor, Tensor | None], None]  # set, index, lr, sr, hr


class ValidationInterrupted(Exception):  # noqa: N818, nothing is wrong
    """A validation that is given up for a signal; raised by `OnImage`."""


MAX_THREADS = 8  # of half a GiB each, for images of 2 megapixels

MIN_SIDE = {"SSIM": 11, "VGG16": 16, "AlexNet": 31}
"""Pixels, the border not counted, of the smallest image that a measure takes: SSIM's window, and
what the halvings of LPIPS' networks leave something of."""


@dataclass(frozen=True)
class Tiling:
    """How images are upscaled that are larger than a tile: as infer.py does."""

    tile_size: int  # LR pixels
    halo: int  # LR pixels; the network's receptive radius for scores as of the whole image
    dtype: torch.dtype


def validate(
    network: nn.Module,
    sets: ValidationSets,
    scale: int,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
    on_image: OnImage,
    lpips: LPIPS | None = None,
    window: Window | None = None,
    tiling: Tiling | None = None,
    *,
    niqe: bool = False,
) -> Scores:
    """Return means of PSNR (dB) and SSIM on Y and on RGB, with a border of `scale` pixels left out.

    With lpips, which is on `device`, also LPIPS of the same pixels, in 8 bits, computed in fp32.
    Of images without hr, and with niqe of all, NIQE.
    network: in eval mode, in its own device's memory. on_image is shown each result. window: of
    a network that sees several frames. tiling: of large images, for a network of single ones; None
    upscales each as a whole. A clip counts as as many images as it has frames.
    """
    tiles = None if tiling is None else _make_upscaler(network, scale, device, tiling)

    def upscale(inputs: tuple[Tensor, ...]) -> Tensor:
        if tiles is not None and max(inputs[0].shape[-2:]) > tiles.tile_size:
            return tiles(inputs[0])
        with torch.inference_mode(), autocast():
            sr: Tensor = network(*(each.to(device) for each in inputs))
        return sr.float().cpu()

    def upscale_all(name: str, samples: Iterable[Sample]) -> Iterator[Result]:
        for index, (inputs, hr) in enumerate(samples):
            sr = upscale(inputs)
            on_image(name, index, inputs[0], sr, hr)
            yield sr, hr

    def measure(result: Result) -> Measured:
        return result, _measure(*result, scale, niqe=niqe)

    scores: Scores = {}
    # As infer.py: fp32 is not TF32, and images are of many sizes.
    with full_fp32, tune_convolutions(enabled=False):
        for name, sources in sets.items():
            results = upscale_all(name, _load_all(sources, window))
            scores[name] = _average(map_bounded(measure, results, _count_threads()), scale, lpips)
    return scores


def _make_upscaler(
    network: nn.Module, scale: int, device: torch.device, tiling: Tiling
) -> Upscaler:
    """The upscaler has a copy: it lays weights out and fuses layers for inference."""
    return Upscaler(
        copy.deepcopy(network),
        scale=scale,
        halo=tiling.halo,
        tile_size=tiling.tile_size,
        device=device,
        dtype=tiling.dtype,
    )


def validate_bicubic(
    sets: ValidationSets, scale: int, lpips: LPIPS | None = None, *, niqe: bool = False
) -> Scores:
    """Return the same scores of MATLAB's bicubic upscaling: what a network must beat.

    At scale 1 it is the input itself.
    """

    def upscale_and_measure(sample: Sample) -> Measured:
        inputs, hr = sample
        image = (inputs[0][0] * 255).round().byte().permute(1, 2, 0).numpy()
        sr = image_to_tensor(imresize(image, scale))
        return (sr, hr), _measure(sr, hr, scale, niqe=niqe)

    scores: Scores = {}
    with full_fp32, tune_convolutions(enabled=False):
        for name, sources in sets.items():
            samples = _load_all(sources, window=None)
            measured = map_bounded(upscale_and_measure, samples, _count_threads())
            scores[name] = _average(measured, scale, lpips)
    return scores


def choose_score(best_by: Literal["auto", "niqe"], *, adversarial: bool) -> ScoreName:
    """Return the name of the score by which the best checkpoint is chosen.

    auto: Y-PSNR. Adversarial training lowers that, and its best would be the one that has learned
    least: there it is LPIPS.
    """
    if best_by == "niqe":
        return "niqe"
    return "lpips" if adversarial else "psnr_y"


def checkpoint_score(scores: Scores, by: ScoreName) -> float | None:
    """Return the mean of a score over the sets that have it, negated where lower is better.

    None where it was not measured.
    """
    measured = [values[by] for values in scores.values() if by in values]
    if not measured:
        return None
    return fmean(measured) if by == "psnr_y" else -fmean(measured)


def measure_distance(sr: Tensor, hr: Tensor, border: int, distance: LPIPS | DISTS) -> float:
    """Return LPIPS or DISTS of what is inside the border, in 8 bits, computed in fp32.

    sr, hr: (1, 3, H, W), RGB in [0, 1].
    """
    images = crop_and_quantize(sr, hr, border=border, channel="rgb")  # in [0, 255]
    device = distance.features.mean.device
    x, y = ((image[None] / 255).to(device, torch.float32) for image in images)
    with torch.inference_mode():
        return float(distance(x, y))


def refuse_small_results(
    sets: ValidationSets, scale: int, lpips: str | None, *, niqe: bool
) -> None:
    """Raise DataError naming every image that is too small for what is measured.

    lpips: its network. niqe: whether it is measured of images with hr.
    """
    sources = [source for part in sets.values() for source in part]
    with_hr = [source for source in sources if not isinstance(source, LRImage)]
    least = MIN_SIDE["SSIM" if lpips is None else lpips]
    refuse_small_images(with_hr, least + 2 * scale, "what validation measures")
    refuse_few_blocks([each for each in sources if niqe or isinstance(each, LRImage)], scale)


def refuse_few_blocks(sources: Sequence[Source[Any]], border: int) -> None:
    """Raise DataError naming every image in which NIQE has too few blocks inside the border."""
    raise_faults(
        f"results of fewer than {MIN_BLOCKS} blocks of {BLOCK_SIZE} pixels inside a border of "
        f"{border}, which NIQE needs",
        [
            f"{source.name}: {source.hr_size[1]}x{source.hr_size[0]} (width x height)"
            for source in sources
            if count_blocks(source.hr_size, border) < MIN_BLOCKS
        ],
    )


def _load_all(sources: Sequence[Source[Any]], window: Window | None) -> Iterator[Sample]:
    return (sample for source in sources for sample in load_samples(source, window))


def _count_threads() -> int:
    """Return how many images are measured at a time.

    torchrun gives each process one thread, but the others wait: a validation of large images would
    take longer than the training between two of them.
    """
    return min(MAX_THREADS, max(1, (os.cpu_count() or 1) // torch.get_num_threads()))


def _average(measured: Iterable[Measured], scale: int, lpips: LPIPS | None) -> dict[str, float]:
    """Return each measure's mean, LPIPS too: here, so that one image at a time is on its device."""
    rows = []
    for (sr, hr), row in measured:
        if lpips is not None and hr is not None:
            row["lpips"] = measure_distance(sr, hr, scale, lpips)
        rows.append(row)
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def _measure(sr: Tensor, hr: Tensor | None, border: int, *, niqe: bool) -> dict[str, float]:
    scores = {} if hr is None else _compare(sr, hr, border)
    if niqe or hr is None:
        scores["niqe"] = measure_niqe(sr, border=border)
    return scores


def _compare(sr: Tensor, hr: Tensor, border: int) -> dict[str, float]:
    return {
        "psnr_y": psnr(sr, hr, border=border, channel="y"),
        "ssim_y": ssim(sr, hr, border=border, channel="y"),
        "psnr_rgb": psnr(sr, hr, border=border, channel="rgb"),
        "ssim_rgb": ssim(sr, hr, border=border, channel="rgb"),
    }
