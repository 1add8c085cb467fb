"""The weights that training starts from: of a generator, in a file of any origin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sr.errors import ModelFileError, UserError
from sr.io.model_file import is_model_file, read_model_file
from sr.io.weights_file import describe_misfits
from sr.models.detect_published import detect_published, make_published_clips
from sr.models.load import preview_names, read_weights_of_others, refuse_quantized
from sr.networks.foreign_network import ForeignNetwork
from sr.networks.spandrel_arguments import complete_arguments
from sr.networks.spandrel_network import SpandrelGenerator, list_hyperparameters
from sr.options.generator import BasicSROptions, GeneratorOptions, SpandrelOptions


def load_initial_weights(
    network: nn.Module,
    path: Path,
    options: GeneratorOptions,
    scale: int,
    clips: Mapping[str, Any] | None = None,
    *,
    partial: bool = False,
) -> tuple[str, ...]:
    """Start a network from the weights in a file, of train.py or published ones of this network.

    options: what the network was made from. clips: what it will be given of a clip, as in model
    files. partial: take what fits by name and shape, of whatever scale and options.
    Returns the names of the tensors that the file does not have, none unless `partial`. Raises
    ModelFileError where the file is of another scale or network, of one with other options, or of
    one that learned with other neighbors (another flow is allowed); with `partial` where nothing
    fits.
    """
    if partial:
        theirs = read_model_file(path).state_dict if is_model_file(path) else None
        return load_fitting(network, path, theirs or read_weights_of_others(path), "generator")
    if is_model_file(path):
        file = read_model_file(path)
        state_dict: Mapping[str, Tensor] = file.state_dict
        of_scale, what = file.metadata.get("scale"), file.metadata.get("generator")
        _refuse_other_options(path, options, scale, what)
        _refuse_other_neighbors(path, clips, file.metadata.get("clips"))
    else:
        state_dict = read_weights_of_others(path)
        published = detect_published(state_dict)
        if isinstance(network, SpandrelGenerator):
            state_dict, of_scale, what = _recognize(path, network, state_dict)
        elif isinstance(options, BasicSROptions):
            of_scale, what = scale, "that the weights are of"  # only the shapes say it
        elif published is None:
            raise ModelFileError(f"{path}: not the weights of a network that can be trained here")
        else:
            found, of_scale = published
            what = found.model_dump()
            _refuse_other_neighbors(path, clips, make_published_clips(found).get("clips"))
    if of_scale != scale:
        raise ModelFileError(f"{path}: expected a model of scale {scale}, got {of_scale}")
    load_exactly(network, state_dict, f"{path}: its generator {what} does not fit")
    return ()


def load_exactly(network: nn.Module, theirs: Mapping[str, Tensor], otherwise: str) -> None:
    """Load weights that fit as a whole. Raises ModelFileError, `otherwise` and the faults."""
    try:
        network.load_state_dict(theirs)
    except RuntimeError as error:
        needed = network.state_dict()
        faults = describe_misfits(theirs, needed, needed) or error
        raise ModelFileError(f"{otherwise}: {faults}") from None


def load_fitting(
    network: nn.Module, path: Path, theirs: Mapping[str, Tensor], kind: str
) -> tuple[str, ...]:
    """Load what fits a network by name and shape; return the names of the others.

    path, kind: of the file and the network, for messages. Raises ModelFileError where nothing
    fits.
    """
    refuse_quantized(path, theirs)
    if isinstance(network, ForeignNetwork):
        network = network.network  # whose names are those in files
    ours = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    fitting = {
        name: theirs[name]
        for name, tensor in ours.items()
        if name in theirs and theirs[name].shape == tensor.shape
    }
    if not fitting:
        raise ModelFileError(
            f"{path}: no tensor fits by name and shape; it has {preview_names(theirs)}, "
            f"the {kind} {preview_names(ours)}"
        )
    network.load_state_dict(fitting, strict=False)
    kept = network.state_dict()  # buffers that are never saved count as known
    return tuple(name for name in ours if name not in fitting and name in kept)


def _recognize(
    path: Path, network: SpandrelGenerator, state_dict: Mapping[str, Tensor]
) -> tuple[Mapping[str, Tensor], int, str]:
    """Return published weights as the network has them, their scale, and what they are of."""
    # Imported here: it takes seconds, and other networks do not need it.
    from sr.models.spandrel_models import recognize_weights

    try:
        model = recognize_weights(state_dict)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    if model is None:
        return state_dict, network.scale, "that the weights are of"
    if type(model.model) is not type(network.network):
        raise ModelFileError(
            f"{path}: expected weights of {network.arch}, got those of {type(model.model).__name__}"
        )
    ours, theirs = (list_hyperparameters(each) for each in (network.network, model.model))
    other = [f"{name} {theirs[name]}" for name in theirs if theirs[name] != ours.get(name)]
    what = f"{network.arch} with {', '.join(other)}" if other else network.arch
    return model.model.state_dict(), model.scale, what


def _refuse_other_options(path: Path, ours: GeneratorOptions, scale: int, theirs: object) -> None:
    """Refuse other options; some leave no trace in the weights, such as the size of a residual."""
    if not isinstance(theirs, dict) or theirs.get("type") != ours.type:
        return  # then the weights decide
    if isinstance(ours, SpandrelOptions):
        theirs = _complete_options(path, SpandrelOptions.model_validate(theirs), scale)
        expected = _complete_options(path, ours, scale)
    else:
        expected = ours.model_dump(mode="json")
    for name, value in expected.items():
        if name in theirs and theirs[name] != value:
            raise ModelFileError(
                f"{path}: expected a generator with {name} {value}, got {theirs[name]}"
            )


def _complete_options(path: Path, options: SpandrelOptions, scale: int) -> dict[str, Any]:
    """Return all arguments, so that a default that is written out is no difference."""
    try:
        arguments = complete_arguments(scale, options.arch, options.options)
    except UserError as error:
        raise ModelFileError(f"{path}: {error}") from None
    return {"arch": options.arch, **arguments}


def _refuse_other_neighbors(path: Path, ours: Mapping[str, Any] | None, theirs: object) -> None:
    if ours is None or not isinstance(theirs, dict):
        return
    for name in ("offsets", "edge", "alignment"):
        if theirs.get(name) != ours[name]:
            raise ModelFileError(
                f"{path}: expected a model that learned with {name} {ours[name]} of its neighbors, "
                f"as in datasets.window, got {theirs.get(name)}"
            )
