"""Options of the loss terms that compare images by the features of a network."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from sr.options.image_losses import TermOptions

FeatureWeights = Literal["torchvision", "random"] | Path
"""torchvision's ImageNet weights (downloaded once), random ones, or a local file."""

_VGG_CONVOLUTIONS = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}  # per block


class LayersOptions(TermOptions):
    """A distance of the feature maps of a VGG network."""

    type: Literal["VGG16", "VGG19"]
    """Network whose features are compared."""
    layers: dict[str, PositiveFloat] = Field(min_length=1)
    """Layers with their weights; conv5_4 is before, relu5_4 after the activation."""
    weights: FeatureWeights = "torchvision"
    """torchvision: ImageNet, downloaded once. Or a local safetensors or pth file with
    torchvision's key names; or `random`, for tests."""

    @property
    def least_crop_size(self) -> int:
        """One value in the last map: conv5_4 comes after four halvings."""
        return 1 << (max(int(name[4]) for name in self.layers) - 1)

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        for name in self.layers:
            match = re.fullmatch(r"(?:conv|relu)([1-5])_([1-4])", name)
            if match is None or int(match[2]) > _VGG_CONVOLUTIONS[self.type][int(match[1]) - 1]:
                counts = _VGG_CONVOLUTIONS[self.type]
                last = ", ".join(f"{block}_{count}" for block, count in enumerate(counts, start=1))
                raise ValueError(
                    f"layers: expected conv or relu and block_number, up to {last} for "
                    f"{self.type}, got {name!r}"
                )
        return self


class PerceptualOptions(LayersOptions):
    """Distance of features of a VGG network, Johnson et al. 2016."""

    criterion: Literal["L1", "MSE"] = "L1"
    """Distance of two feature maps."""
    is_target = True


class ContextualOptions(LayersOptions):
    """Similarity of the sets of features, wherever they are, Mechrez et al. 2018."""

    bandwidth: PositiveFloat = 0.5
    """Width of the kernel of relative distances; the paper's h."""
    max_side: PositiveInt = 32
    """Maps are averaged down to at most this side: time and memory grow with its fourth power."""

    @property
    def least_crop_size(self) -> int:
        """Two points to choose from."""
        return 2 * super().least_crop_size


class HighFrequencyOptions(LayersOptions):
    """Distance of the Haar detail bands of feature maps, after HF-Diff (Sami et al. 2024)."""

    levels: Annotated[int, Field(ge=1, le=5)] = 1
    """Halvings of the maps, each with three bands; their distances are summed."""
    criterion: Literal["L1", "MSE"] = "MSE"
    """Distance of two bands."""

    @property
    def least_crop_size(self) -> int:
        """One coefficient of the coarsest bands."""
        return super().least_crop_size << self.levels


class DistributionOptions(LayersOptions):
    """Jensen-Shannon divergence of features as distributions, after HF-Diff (Sami et al. 2024)."""

    temperature: PositiveFloat = 1.0
    """Of the softmax over a map's channels; higher is flatter."""


class LPIPSOptions(TermOptions):
    """LPIPS, Zhang et al. 2018."""

    network: Literal["AlexNet", "VGG16"] = "VGG16"
    """Network whose features are compared."""
    weight: PositiveFloat
    weights: FeatureWeights = "torchvision"
    """As in the perceptual term; those of `network`."""
    is_target = True

    @property
    def least_crop_size(self) -> int:
        """One value in the last map."""
        return 31 if self.network == "AlexNet" else 16


class DISTSOptions(TermOptions):
    """DISTS, Ding et al. 2020: structure and texture in the features of VGG16."""

    weight: PositiveFloat
    weights: FeatureWeights = "torchvision"
    """As in the perceptual term; those of VGG16."""
    is_target = True

    @property
    def least_crop_size(self) -> int:
        """One value in the last map."""
        return 16


class ContrastiveOptions(TermOptions):
    """Contrastive loss in features of the discriminator, PCL-SR (Wu et al. 2023): sr nearer to hr
    and sharpened hr than to blurred hr and enlarged lr. Needs losses.adversarial, whose weight may
    be 0, and comes in with it."""

    layer: NonNegativeInt = 2
    """Convolution of the discriminator whose output is compared, counted from 0."""
    samples: PositiveInt = 2
    """Sharpened images, and as many blurred ones, per image; how much follows from `seed` and the
    step."""
    temperature: PositiveFloat = 1.0
    """Of the similarities; lower gives the hardest negatives more weight."""

    @property
    def least_crop_size(self) -> int:
        """Its blur reaches so far that a border can be reflected."""
        return 7
