"""The weights that a discriminator starts from: published ones, or of an earlier run."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from sr.errors import ModelFileError
from sr.io.model_file import is_model_file
from sr.io.weights_file import read_weights
from sr.models.initial_weights import load_exactly, load_fitting
from sr.training.checkpoint import CheckpointError, read_state

STATE_SUFFIX = ".state"


def load_initial_discriminator(
    network: nn.Module, path: Path, *, partial: bool = False
) -> tuple[str, ...]:
    """Start a discriminator from the weights in a file, such as Real-ESRGAN's netD.

    partial: take what fits by name and shape. Returns the names of the tensors that the file does
    not have, none unless `partial`. Raises ModelFileError for a file without a discriminator, and
    for one of another discriminator; with `partial` where nothing fits.
    """
    weights = _read_discriminator(path)
    if partial:
        return load_fitting(network, path, weights, "discriminator")
    load_exactly(network, weights, f"{path}: does not fit the discriminator")
    return ()


def _read_discriminator(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == STATE_SUFFIX:
        try:
            gan = read_state(path).get("adversarial")
        except CheckpointError as error:
            raise ModelFileError(str(error)) from None
        if not isinstance(gan, dict) or not isinstance(gan.get("discriminator"), dict):
            raise ModelFileError(f"{path}: expected the state of an adversarial run, got another")
        weights: Mapping[str, Tensor] = gan["discriminator"]
        return weights
    if is_model_file(path):
        raise ModelFileError(
            f"{path}: expected the weights of a discriminator, got a generator; the discriminator "
            "of a run is in its .state files"
        )
    return read_weights(path)
