"""Weights of the community's networks, recognized and built by spandrel.

spandrel knows more than forty architectures by the names and shapes of their weights. Its
descriptions are taken as they are: scale, channels, sizes that fit, precisions, tiling.
"""

import warnings
from collections.abc import Mapping

import torch
from spandrel import (
    MAIN_REGISTRY,
    ImageModelDescriptor,
    ModelDescriptor,
    UnsupportedModelError,
)
from torch import Tensor, nn

from sr.errors import ModelFileError
from sr.models.limit_building import limit_building
from sr.models.loaded_model import LoadedGenerator
from sr.networks.foreign_network import FAULTS_OF_NETWORKS
from sr.networks.receptive_radius import MAX_RADIUS
from sr.networks.spandrel_network import TILING, pad_to_requirements


class SpandrelNetwork(nn.Module):
    """A network of spandrel's behind the shapes of ours.

    Sizes that do not fit are padded and cut again; a network for gray images enlarges the three
    channels one by one.
    """

    def __init__(self, model: ImageModelDescriptor[nn.Module]) -> None:
        super().__init__()
        self.scale = model.scale
        self.network = model.model
        self._model = model
        self._gray = model.input_channels == 1

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (1, 3, H, W), RGB in [0, 1]. Returns (1, 3, scale*H, scale*W), in [0, 1]."""
        if not self._gray:
            sr: Tensor = self._model(lr)
            return sr
        return torch.cat([self._model(lr[:, c : c + 1]) for c in range(lr.shape[1])], dim=1)

    def pad_to_fit(self, lr: Tensor) -> Tensor:
        """Return lr, (1, 3, H, W), padded below and at the right as spandrel does."""
        return pad_to_requirements(lr, self._model.size_requirements.get_padding)


def recognize_weights(state_dict: Mapping[str, Tensor]) -> ModelDescriptor | None:
    """Return what spandrel makes of a state dict, or None where it does not know it.

    Raises ModelFileError for weights that only look like those of a network that it knows.
    """
    try:
        with warnings.catch_warnings(), limit_building(state_dict):
            warnings.simplefilter("ignore")  # of the builders, for their authors
            return MAIN_REGISTRY.load(dict(state_dict))
    except UnsupportedModelError:
        return None
    except (MemoryError, *FAULTS_OF_NETWORKS) as error:
        raise ModelFileError(
            f"spandrel takes it for a network that it knows, but cannot build it: {error!r}"
        ) from None


def load_with_spandrel(state_dict: dict[str, Tensor]) -> LoadedGenerator | None:
    """Return the generator of a state dict, or None where spandrel does not know it.

    Raises ModelFileError for a network that does not make one image from one image.
    """
    model = recognize_weights(state_dict)
    if model is None:
        return None
    name = model.architecture.name
    _refuse_other_channels(model, name)
    assert isinstance(model, ImageModelDescriptor)
    allowed = {torch.bfloat16: model.supports_bfloat16, torch.float16: model.supports_half}
    network = SpandrelNetwork(model).eval().requires_grad_(False)
    return LoadedGenerator(
        network.float(),
        model.scale,
        MAX_RADIUS,
        architecture=" ".join([name, *model.tags]),
        origin="recognized by spandrel",
        reduced_precisions=frozenset(dtype for dtype, good in allowed.items() if good),
        tiling=TILING[model.tiling.name],
        size_multiple=model.size_requirements.multiple_of,
    )


def list_architectures() -> list[str]:
    """Return the names of all networks that spandrel recognizes."""
    return sorted(support.architecture.name for support in MAIN_REGISTRY.architectures())


def _refuse_other_channels(model: ModelDescriptor, name: str) -> None:
    channels = (model.input_channels, model.output_channels)
    if not isinstance(model, ImageModelDescriptor):
        raise ModelFileError(f"{name} needs a mask next to the image, which is not supported")
    if model.purpose == "FaceSR":
        raise ModelFileError(f"{name} takes faces that were cut out and aligned, not images")
    if channels not in ((3, 3), (1, 1)):
        raise ModelFileError(
            f"{name} takes {channels[0]} channels and gives {channels[1]}; expected RGB images "
            "(3 and 3) or gray ones (1 and 1)"
        )
