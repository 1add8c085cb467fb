"""A model between two others: the weighted mean of their weights.

Network interpolation of Wang et al. 2018, "ESRGAN" (arXiv 1809.00219), sec. 3.4: between a model
trained for fidelity and one trained on from it against a discriminator lie models with less of the
second one's grain. Of models that were not trained from one another the mean is good for nothing.
"""

from dataclasses import replace
from pathlib import Path

from sr.io.model_file import ModelFileError
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator


def blend_models(first: LoadedGenerator, other: Path, share: float) -> LoadedGenerator:
    """(1 - share) * first + share * other, of each weight.

    share: in (0, 1). Raises ModelFileError where `other` is no model of the same network and scale.
    """
    if not 0 < share < 1:
        raise ModelFileError(
            f"{other}: its share of the blend must be between 0 and 1, got {share}"
        )
    second = load_generator(other)
    theirs, ours = second.network.state_dict(), first.network.state_dict()
    shapes = {name: tensor.shape for name, tensor in ours.items()}
    if second.scale != first.scale or shapes != {n: t.shape for n, t in theirs.items()}:
        raise ModelFileError(
            f"{other}: expected another {first.architecture} x{first.scale} with weights of the "
            f"same names and sizes, got {second.architecture} x{second.scale}"
        )
    first.network.load_state_dict(
        {
            name: tensor.lerp(theirs[name], share) if tensor.is_floating_point() else tensor
            for name, tensor in ours.items()
        }
    )
    about = {"step": second.metadata.get("step"), "share": share}
    return replace(first, metadata={**first.metadata, "blended_with": about})
