"""Weights for torchvision's networks: its own, from torch's cache or the network, or a file's."""

import logging
import pickle
from collections.abc import Collection, Mapping
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from sr.errors import ModelFileError
from sr.io.weights_file import describe_misfits

_FAULTS = (OSError, EOFError, RuntimeError, pickle.UnpicklingError, HTTPException)
"""What a download, or a damaged file in the cache, raises."""

logger = logging.getLogger(__name__)


def download_weights(name: str, what: str) -> tuple[dict[str, Tensor], str]:
    """Return torchvision's weights and the name of their version.

    name: as torchvision has it, `VGG16_Weights.IMAGENET1K_V1`. what: what messages call them.
    Raises ModelFileError where they are neither in torch's cache nor to be downloaded.
    """
    # Imported here: it takes seconds, and programs that only upscale never come here.
    from torchvision.models import get_weight

    weights = get_weight(name)
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    logger.info("%s: weights from %s or %s", what, cache, weights.url)
    try:
        read = weights.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except _FAULTS as error:
        raise ModelFileError(
            f"{what}: no weights in {cache}, and none from {weights.url} ({error}); "
            "`weights: PATH` takes a local safetensors or pth file"
        ) from error
    return read, weights.name


def refuse_misfits(
    read: Mapping[str, Tensor], needed: Mapping[str, Tensor], known: Collection[str], what: str
) -> None:
    """Raise ModelFileError where a needed tensor is missing or of another shape, or one is unknown.

    known: names of all tensors of the network, of which the needed ones are some.
    """
    faults = describe_misfits(read, needed, known)
    if faults:
        raise ModelFileError(f"{what}: expected torchvision's weights; {faults}")
