"""Files that options name: inputs that must exist, and models. Looked up without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.errors import NoInputError
from sr.inference.options import DEFAULT_RESAMPLING, STREAM, InferOptions, ResampleMethod
from sr.io.video.formats import is_pattern
from sr.models.bundled import choose_default_model
from sr.models.find_model import resolve_model


@dataclass(frozen=True)
class ModelFiles:
    """The files of the models that make one result, and how they are put together."""

    chain: tuple[Path, ...]
    """They run one after the other. None where `resample` enlarges."""
    strength: float = 1.0
    """Share of the chain."""
    strength_with: Path | None = None
    """What has the other share; None for bicubic interpolation."""
    resample: tuple[int, ResampleMethod] | None = None
    """Scale and method of enlargement without a model."""

    @property
    def name(self) -> str:
        """For messages."""
        if self.resample is not None:
            return self.resample[1]
        return " + ".join(path.name for path in self.chain)


def refuse_missing(inputs: Sequence[Path]) -> None:
    """Raise NoInputError, with all names, for inputs that are neither there nor a pattern."""
    missing = [str(path) for path in inputs if not (is_pattern(path) or exists(path))]
    if missing and STREAM not in inputs:
        raise NoInputError(f"no such file or folder: {', '.join(missing)}")


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder."""
    try:
        return path.is_dir() or path.exists()  # of an object store, the folder itself is listed
    except OSError:  # of a name that no file can have
        return False


def find_models(options: InferOptions) -> ModelFiles:
    """Return the files of the models that are asked for, downloaded if they have to be.

    Of `auto` the default one. Raises ModelFileError where there is none.
    """
    texture, other = options.texture, None
    if options.resample is not None:
        scale = int(options.output.outscale or DEFAULT_RESAMPLING)
        return ModelFiles((), resample=(scale, options.resample))
    if texture.strength_with is not None:
        other = resolve_model(texture.strength_with)
    if options.models in ((), ("auto",)):
        chain: tuple[Path, ...] = (choose_default_model(options.output.outscale),)
    else:
        chain = tuple(resolve_model(model, options.sha256) for model in options.models)
    return ModelFiles(chain, texture.strength, other)
