"""Where results go: the names that a request gives them, and what may not be."""

import os
from collections.abc import Sequence
from pathlib import Path

from sr.inference.inputs import Input
from sr.inference.options import STREAM, Container, Extension, Job, Request, UsageError
from sr.inference.video.resume import parts_folder
from sr.io.image_formats import WRITABLE_SUFFIXES
from sr.io.video.formats import CONTAINERS, VIDEO_SUFFIXES, WRITABLE_CONTAINERS, is_pattern

_UNWRITABLE_SUFFIXES = frozenset(
    {".bmp", ".exr", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".ppm", ".svg", ".tga"}
)
MAX_NAME_BYTES = 255  # of all usual file systems
_NUM_NAMED = 5  # files named in a message; the rest are counted


def is_file_name(output: Path) -> bool:
    """Whether `-o` names a file, a pattern of files or standard output; else it is a folder."""
    suffix = output.suffix.lower()
    if output == STREAM or is_pattern(output):
        return True
    if output.is_dir():
        return False
    if suffix in _UNWRITABLE_SUFFIXES:
        raise UsageError(f"-o {output}: expected .png, .jpg, .webp, .tif or .avif, got {suffix}")
    if suffix in VIDEO_SUFFIXES - WRITABLE_CONTAINERS:
        raise UsageError(f"-o {output}: expected .mp4, .mkv or .webm, got {suffix}")
    writable = suffix in WRITABLE_SUFFIXES | WRITABLE_CONTAINERS
    if output.exists() and not writable:
        raise UsageError(f"-o {output}: expected a folder, got a file")
    return writable


def is_video_name(output: Path) -> bool:
    """Whether `-o` names a video."""
    return output.suffix.lower() in WRITABLE_CONTAINERS and is_file_name(output)


def output_names(inputs: Sequence[Input], request: Request, label: str) -> list[Path]:
    """The results in a folder. label: says the size, such as x4."""
    suffix = f"_{label}" if request.suffix is None else request.suffix
    if Path(suffix).name != suffix:
        raise UsageError(f"--suffix: expected a part of a file name, got {suffix!r}")
    return [
        request.output
        / each.below
        / _no_pattern(f"{_stem(each)}{suffix}.{_extension(each, request)}")
        for each in inputs
    ]


def output_file(inputs: Sequence[Input], request: Request) -> Path:
    """The one result that `-o` names."""
    output = request.output
    if len(inputs) > 1:
        raise UsageError(f"-o {output}: expected a folder for {len(inputs)} inputs, got a file")
    if request.suffix is not None:
        raise UsageError(f"--suffix {request.suffix}: has no place when -o is a file ({output})")
    (only,) = inputs
    if output == STREAM:
        if only.kind == "video":
            raise UsageError("-o -: expected a file for a video, got standard output")
        return output
    if is_pattern(output) and only.kind == "image":
        raise UsageError(f"-o {output}: expected a video as input for a pattern of frames")
    if is_pattern(output) and output.suffix.lower() not in WRITABLE_SUFFIXES:
        raise UsageError(f"-o {output}: expected frames as .png, .jpg, .webp, .tif or .avif")
    if only.kind == "video" and not (is_pattern(output) or is_video_name(output)):
        raise UsageError(
            f"-o {output}: expected .mp4, .mkv, .webm, or a pattern such as %05d.png for a video"
        )
    _check_extension(output, request)
    return output


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """No result may replace an input, or another result."""
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


def refuse_long_names(outputs: Sequence[Path]) -> None:
    """No name may be longer than file systems allow."""
    for output in outputs:
        is_video = output.suffix.lower() in WRITABLE_CONTAINERS
        longest = parts_folder(output) if is_video else output
        if len(os.fsencode(longest.name)) > MAX_NAME_BYTES:
            raise UsageError(
                f"{longest.name}: expected a name of at most {MAX_NAME_BYTES} bytes for the result."
                " Choose a shorter --suffix, or rename the input"
            )


def refuse_existing(outputs: Sequence[Path]) -> None:
    """No result may be there already."""
    existing = [str(path) for path in outputs if path.exists()]
    if existing:
        named = ", ".join(existing[:_NUM_NAMED])
        rest = f" and {len(existing) - _NUM_NAMED} more" if len(existing) > _NUM_NAMED else ""
        verb = "exists" if len(existing) == 1 else "exist"
        raise UsageError(
            f"{named}{rest} already {verb}."
            " Add --overwrite or --skip-existing, or choose another -o"
        )


def _extension(given: Input, request: Request) -> str:
    if given.kind == "video":
        if request.container is not Container.AUTO:
            return request.container
        return CONTAINERS.get(given.source.suffix.lower(), "mkv")
    return Extension.PNG if request.ext is Extension.AUTO else request.ext


def _stem(given: Input) -> str:
    """Of a pattern what stands before the number, or else the folder's name."""
    if given.source == STREAM:
        return "stdin"
    is_file = given.kind == "image" or given.source.suffix.lower() in VIDEO_SUFFIXES
    if is_pattern(given.source) and not is_file:
        before = given.source.stem.partition("%")[0].rstrip("_-. ")
        return before or given.source.resolve().parent.name or "frames"
    return given.source.stem


def _no_pattern(name: str) -> str:
    """Names such as 50%discount.mp4 must not stand for numbered files."""
    return name.replace("%", "_") if is_pattern(Path(name)) else name


def _check_extension(output: Path, request: Request) -> None:
    """--ext and --container may not say otherwise than `-o`."""
    same = {"jpeg": "jpg", "tiff": "tif"}
    ext = output.suffix.lower().removeprefix(".")
    is_video = is_video_name(output)
    name, given = ("container", request.container) if is_video else ("ext", request.ext)
    if given not in ("auto", same.get(ext, ext)):
        raise UsageError(f"--{name} {given}: does not fit the output file {output}")
