"""Which picture goes where: decided and checked before any work is done."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from sr.io.find_pictures import Found, search
from sr.io.picture_formats import READABLE_SUFFIXES, WRITABLE_SUFFIXES

Existing = Literal["refuse", "overwrite", "skip"]

STREAM = Path("-")  # standard input or output in a pipe

_UNWRITABLE_SUFFIXES = frozenset(
    {".bmp", ".exr", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".ppm", ".svg", ".tga"}
)
MAX_NAME_BYTES = 255  # of all usual file systems
_NUM_NAMED = 5  # files named in a message; the rest are counted


class Extension(StrEnum):
    """Format of the results; AUTO is the one of the output file, or PNG in a folder."""

    AUTO = "auto"
    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"
    TIF = "tif"
    AVIF = "avif"


class UsageError(ValueError):
    """A request that cannot be met as it stands; the message says what to change."""


class NoInputError(ValueError):
    """There is no picture to upscale."""


@dataclass(frozen=True)
class Request:
    """What the user asks for, the model aside."""

    inputs: Sequence[Path]
    """Files and folders; or `-` alone for standard input."""
    output: Path
    """A folder, or a file if there is one input, or `-` for standard output."""
    suffix: str | None = None
    """Put after the input's stem; None for `_` and what says the size, such as `_x4`."""
    ext: Extension = Extension.AUTO
    existing: Existing = "refuse"
    """What to do with outputs that exist."""
    recursive: bool = False
    """Search folders below the input folders."""
    reference: Path | None = None
    """Folder of the original pictures to score against."""


@dataclass(frozen=True)
class Job:
    """One picture to upscale."""

    source: Path
    output: Path
    skipped: bool
    """The output exists and stays as it is."""


@dataclass(frozen=True)
class Plan:
    """The jobs of a run, in the order of the work."""

    jobs: list[Job]
    num_ignored: int
    """Files in the input folders that are hidden or have no picture's suffix."""


def plan(request: Request, *, label: str, others: Sequence[Path] = ()) -> Plan:
    """Pair every input picture with its output.

    Folders found below an input folder reappear below the output folder. label: says the size
    in names, such as x4. `others` are further files that the run will write, checked like the
    outputs for being there.
    Raises `NoInputError` if there is no picture or an input does not exist, `UsageError`
    if two results would have one name, a result would replace an input, or one exists
    and `request.existing` is "refuse".
    """
    folder = None if _is_file_name(request.output) else request.output
    found, num_ignored = _find(request, folder)
    if folder is None:
        outputs = [_output_file(found, request)]
    else:
        outputs = _output_names(found, folder, request, label)
    _refuse_long_names(outputs)
    skip = request.existing == "skip"
    jobs = [
        Job(source, output, skipped=skip and output != STREAM and output.exists())
        for source, output in zip(found, outputs, strict=True)
    ]
    _refuse_collisions(jobs)
    if request.reference is not None and any(STREAM in (job.source, job.output) for job in jobs):
        raise UsageError("--reference: needs files; expected no `-` for input or output")
    if request.existing == "refuse":
        _refuse_existing([job.output for job in jobs if job.output != STREAM] + list(others))
    return Plan(jobs, num_ignored)


def folder_of_results(output: Path) -> Path:
    """The folder that `-o` names, or the one of the file that it names."""
    return output.parent if _is_file_name(output) else output


def _find(request: Request, output: Path | None) -> tuple[dict[Path, Path], int]:
    """Each input picture with its folder's path below the input folder that it was found in.

    An output folder inside an input folder is not searched: it holds earlier results. Returns
    also how many files were no pictures.
    """
    if STREAM in request.inputs:
        if len(request.inputs) > 1:
            raise UsageError("-i -: standard input is one picture; expected no other inputs")
        return {STREAM: Path()}, 0
    missing = [str(path) for path in request.inputs if not _exists(path)]
    if missing:
        raise NoInputError(f"no such file or folder: {', '.join(missing)}")
    found: dict[Path, tuple[Path, Path]] = {}
    num_ignored = 0
    for given in request.inputs:
        looked = Found([given], 0)
        if given.is_dir():
            looked = search(given, request.recursive, READABLE_SUFFIXES)
        num_ignored += looked.num_others
        for source in looked.pictures:
            below = source.parent.relative_to(given) if given.is_dir() else Path()
            if output is None or not _holds_results(source, given, output):
                found.setdefault(source.parent.resolve() / source.name, (source, below))
    if not found:
        names = ", ".join(str(path) for path in request.inputs)
        suffixes = " ".join(sorted(READABLE_SUFFIXES))
        raise NoInputError(f"{names}: expected pictures ({suffixes}); came: none")
    return dict(found.values()), num_ignored


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # of a name that no file can have
        return False


def _holds_results(source: Path, given: Path, output: Path) -> bool:
    results, searched = output.resolve(), given.resolve()
    inside = results != searched and results.is_relative_to(searched)
    return inside and source.parent.resolve().is_relative_to(results)


def _is_file_name(output: Path) -> bool:
    suffix = output.suffix.lower()
    if output == STREAM:
        return True
    if output.is_dir():
        return False
    if suffix in _UNWRITABLE_SUFFIXES:
        raise UsageError(f"-o {output}: expected .png, .jpg, .webp, .tif or .avif; came: {suffix}")
    if output.exists() and suffix not in WRITABLE_SUFFIXES:
        raise UsageError(f"-o {output}: expected a folder; came: a file")
    return suffix in WRITABLE_SUFFIXES


def _output_names(
    found: dict[Path, Path], folder: Path, request: Request, label: str
) -> list[Path]:
    suffix = f"_{label}" if request.suffix is None else request.suffix
    if Path(suffix).name != suffix:
        raise UsageError(f"--suffix: expected a part of a file name; came: {suffix!r}")
    ext = Extension.PNG if request.ext is Extension.AUTO else request.ext
    return [folder / below / f"{_stem(source)}{suffix}.{ext}" for source, below in found.items()]


def _stem(source: Path) -> str:
    return "stdin" if source == STREAM else source.stem


def _output_file(found: dict[Path, Path], request: Request) -> Path:
    output = request.output
    if len(found) > 1:
        raise UsageError(f"-o {output}: expected a folder for {len(found)} inputs; came: a file")
    if request.suffix is not None:
        raise UsageError(f"--suffix {request.suffix}: has no place when -o is a file ({output})")
    if output == STREAM:
        return output
    same = {"jpeg": "jpg", "tiff": "tif"}
    ext = output.suffix.lower().removeprefix(".")
    if request.ext not in (Extension.AUTO, same.get(ext, ext)):
        raise UsageError(f"--ext {request.ext}: does not fit the output file {output}")
    return output


def _refuse_collisions(jobs: list[Job]) -> None:
    inputs = {job.source.resolve(): job.source for job in jobs}
    outputs: dict[Path, Path] = {}
    for job in jobs:
        if job.output == STREAM:
            continue
        place = job.output.resolve()
        if place in inputs:
            raise UsageError(
                f"{job.output}: the result of {job.source} would replace the input"
                f" {inputs[place]}. Choose another output folder or --suffix"
            )
        if place in outputs:
            raise UsageError(
                f"{job.output}: two results would have this name, those of {outputs[place]}"
                f" and {job.source}. Upscale them into different folders"
            )
        outputs[place] = job.source


def _refuse_long_names(outputs: list[Path]) -> None:
    for output in outputs:
        if len(os.fsencode(output.name)) > MAX_NAME_BYTES:
            raise UsageError(
                f"{output.name}: expected a name of at most {MAX_NAME_BYTES} bytes for the result."
                " Choose a shorter --suffix, or rename the input"
            )


def _refuse_existing(outputs: list[Path]) -> None:
    existing = [str(path) for path in outputs if path.exists()]
    if existing:
        named = ", ".join(existing[:_NUM_NAMED])
        rest = f" and {len(existing) - _NUM_NAMED} more" if len(existing) > _NUM_NAMED else ""
        verb = "exists" if len(existing) == 1 else "exist"
        raise UsageError(
            f"{named}{rest} already {verb}."
            " Add --overwrite or --skip-existing, or choose another -o"
        )
