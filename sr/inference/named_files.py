"""Files that options name: inputs that must exist, and the model. Looked up without torch."""

from collections.abc import Sequence
from pathlib import Path

from sr.errors import NoInputError
from sr.inference.options import STREAM, InferOptions
from sr.io.video.formats import is_pattern
from sr.models.bundled import choose_default_model
from sr.models.find_model import resolve_model


def refuse_missing(inputs: Sequence[Path]) -> None:
    """Raise NoInputError, with all names, for inputs that are neither there nor a pattern."""
    missing = [str(path) for path in inputs if not (is_pattern(path) or exists(path))]
    if missing and STREAM not in inputs:
        raise NoInputError(f"no such file or folder: {', '.join(missing)}")


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder."""
    try:
        return path.exists()
    except OSError:  # of a name that no file can have
        return False


def find_model(options: InferOptions) -> Path:
    """Return the file of the model that is asked for, downloaded if it has to be.

    Raises ModelFileError where there is none.
    """
    if options.model is None:
        return choose_default_model(options.output.outscale)
    return resolve_model(options.model, options.sha256)
