"""What quality.py measures in addition to PSNR and SSIM."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from no_reference import Metric, load_metrics
from provenance import file_hash
from torch import Tensor

from sr.inference.load_upscaler import load_lpips
from sr.io.rgb8 import tensor_to_rgb8
from sr.losses.dists import DISTS
from sr.losses.lpips import LPIPS
from sr.training.validate import MIN_SIDE, measure_distance


@dataclass(frozen=True)
class Measures:
    """Metrics in addition to PSNR and SSIM."""

    lpips: LPIPS | None
    """On AlexNet's features."""
    distances: Mapping[str, LPIPS | DISTS]
    """On VGG16's, by the name of the score."""
    metrics: Mapping[str, Metric]
    """Of the result alone."""

    @property
    def least_side(self) -> int:
        """Of an image, in pixels, its border not counted."""
        if self.lpips is not None:
            return MIN_SIDE["AlexNet"]
        return MIN_SIDE["VGG16" if self.distances else "SSIM"]

    @property
    def needs_blocks(self) -> bool:
        """Whether a metric is NIQE, which looks at blocks."""
        return any(name.startswith("niqe") for name in self.metrics)

    def compare(self, sr: Tensor, hr: Tensor, border: int) -> dict[str, float]:
        """Measure what is inside the border. sr, hr: (1, 3, H, W), RGB in [0, 1]."""
        return {
            name: measure_distance(sr, hr, border, distance)
            for name, distance in self.distances.items()
        }

    def score_alone(self, image: Tensor, border: int) -> dict[str, float]:
        """Measure the same pixels without an original. image: as sr."""
        pixels = tensor_to_rgb8(image)[border:-border, border:-border]
        return {name: metric(pixels) for name, metric in self.metrics.items()}


def load_measures(given: argparse.Namespace, device: torch.device) -> Measures:
    """Load what the command line asks for. Raises UsageError or ModelFileError for bad weights."""
    distances: dict[str, LPIPS | DISTS] = {}
    if given.vgg16 is not None:
        weights: Literal["torchvision"] | Path
        weights = "torchvision" if given.vgg16 == "torchvision" else Path(given.vgg16)
        distances["lpips_vgg16"] = LPIPS("VGG16", weights).to(device)
        distances["dists"] = DISTS(weights).to(device)
    return Measures(load_lpips(given.lpips, device), distances, load_metrics(given.no_reference))


def describe_weights(given: argparse.Namespace) -> dict[str, str]:
    """Say whose weights the distances have: a line for each network."""
    named = {
        "LPIPS": ("AlexNet, version 0.1", given.lpips),
        "LPIPS of VGG16, DISTS": ("VGG16", given.vgg16),
    }
    return {
        title: f"{network}; weights: {_origin(weights)}"
        for title, (network, weights) in named.items()
        if weights is not None
    }


def _origin(weights: str) -> str:
    return weights if weights == "torchvision" else f"SHA-256 {file_hash(Path(weights))}"
