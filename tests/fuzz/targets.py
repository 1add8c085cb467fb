"""What is done with a damaged input, as the programs do it, and what comes of it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import torch
from helpers.images import encode_image, noise
from helpers.videos import CountingNetwork, upscale
from PIL import Image

from sr.errors import UserError
from sr.io.video.frame import OutputMismatchError
from sr.models.load import load_generator
from sr.models.ncnn_graph import trace_program
from sr.models.ncnn_program import read_program
from sr.models.spandrel_models import list_architectures
from sr.options.import_basicsr import import_basicsr
from sr.options.load import load_options
from sr.options.read_yaml import read_option_text

list_architectures()  # imports spandrel now, not while one input is judged

MAX_WEIGHT_BYTES = 2**24  # that are written for one input

OK, CLEAR, MISMATCH, WRONG = "ok", "clear error", "mismatch", "wrong error"


def judge(kind: str, path: Path) -> tuple[str, str]:
    """Read one input. Returns what came of it, and the error in words.

    A clear error is one that a user can fix, and that names the file. A mismatch is a result that
    is written and reported as not what its damaged source promised.
    """
    try:
        _TARGETS[kind](path)
    except OutputMismatchError as error:
        return MISMATCH, f"{type(error).__name__}: {error}"
    except UserError as error:
        is_clear = path.name in str(error) or path.parent.name in str(error)
        return CLEAR if is_clear else WRONG, f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001, which is what is looked for
        return WRONG, f"{type(error).__name__}: {error}"
    return OK, ""


def _upscale_image(path: Path) -> None:
    _upscale(path, path.with_name("result.png"))


def _upscale_video(path: Path) -> None:
    _upscale(path, path.with_name("result.mkv"))


def _upscale_sequence(path: Path) -> None:
    """A folder of frames, one of which is damaged."""
    folder = path.with_name("frames")
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    whole = encode_image(Image.fromarray(noise(9, 11, 3)), "png")
    for number in range(3):
        (folder / f"{number}{path.suffix}").write_bytes(path.read_bytes() if number == 1 else whole)
    _upscale(folder, path.with_name("result.mkv"), named=path.name)


def _upscale(source: Path, output: Path, named: str = "") -> None:
    summary = upscale(source, output, network=CountingNetwork(), overwrite=True)
    (task,) = summary.tasks
    if isinstance(task.error, UserError) and not isinstance(task.error, OutputMismatchError):
        raise UserError(f"{task.describe_error()} {named}")  # as it is shown, with the name
    if task.error is not None:
        raise task.error


def _translate(path: Path) -> None:
    try:
        import_basicsr(read_option_text(path))
    except UserError as error:  # which sr-convert puts the name before
        raise UserError(f"{path}: {error}") from None


def _load_model(path: Path) -> None:
    loaded = load_generator(path)
    with torch.inference_mode():
        loaded.network(torch.rand(1, loaded.num_channels, 16, 16))


def _load_ncnn(path: Path) -> None:
    """With weights of the size that the damaged text states, so that ncnn reads it."""
    with suppress(ValueError):
        graph = trace_program(read_program(path))
        num_bytes = sum(4 * each.count + 4 * each.is_tagged for each in graph.weights)
        if num_bytes < MAX_WEIGHT_BYTES:
            path.with_suffix(".bin").write_bytes(bytes(num_bytes))
    _load_model(path)


_TARGETS: dict[str, Callable[[Path], object]] = {
    "image": _upscale_image,
    "video": _upscale_video,
    "sequence": _upscale_sequence,
    "options": load_options,
    "basicsr": _translate,
    "model": _load_model,
    "ncnn": _load_ncnn,
}
