"""The images and videos that a request names."""

from dataclasses import dataclass
from pathlib import Path

from sr.inference.options import STREAM, Kind, NoInputError, Request, UsageError
from sr.io.find_files import Found, search_folder
from sr.io.image_formats import READABLE_SUFFIXES
from sr.io.video.formats import VIDEO_SUFFIXES, is_pattern


@dataclass(frozen=True)
class Input:
    """One image or video."""

    source: Path
    below: Path
    """Its folder's path below the input folder that it was found in."""
    kind: Kind


@dataclass(frozen=True)
class Inputs:
    """All of a request, each once, in the order given."""

    found: list[Input]
    num_ignored: int
    """Files in the input folders that are hidden or have the suffix of something else."""


def find_inputs(request: Request, folder: Path | None, *, to_video: bool) -> Inputs:
    """What there is to upscale.

    folder: for the results; inside an input folder it is not searched, since it holds earlier
    results. to_video: the one output is a video, so that a folder is one, of frames, and so is an
    animation. Raises NoInputError where there is nothing, UsageError for a wrong mixture.
    """
    if STREAM in request.inputs:
        if len(request.inputs) > 1:
            raise UsageError("-i -: standard input is one image; expected no other inputs")
        return Inputs([Input(STREAM, Path(), "image")], 0)
    missing = [str(path) for path in request.inputs if not (is_pattern(path) or _exists(path))]
    if missing:
        raise NoInputError(f"no such file or folder: {', '.join(missing)}")
    if to_video:
        return Inputs([Input(path, Path(), "video") for path in request.inputs], 0)
    found: dict[Path, Input] = {}
    num_ignored = 0
    for given in request.inputs:
        looked = Found([given], 0)
        is_folder = given.is_dir()
        if is_folder:
            looked = search_folder(given, request.recursive, READABLE_SUFFIXES | VIDEO_SUFFIXES)
        num_ignored += looked.num_others
        for source in looked.images:
            below = source.parent.relative_to(given) if is_folder else Path()
            if folder is None or not _holds_results(source, given, folder):
                item = Input(source, below, _kind_of(source))
                found.setdefault(source.parent.resolve() / source.name, item)
    if not found:
        names = ", ".join(str(path) for path in request.inputs)
        suffixes = " ".join(sorted(READABLE_SUFFIXES | VIDEO_SUFFIXES))
        raise NoInputError(f"{names}: expected images or videos ({suffixes}), got none")
    return Inputs(list(found.values()), num_ignored)


def _kind_of(source: Path) -> Kind:
    is_frames = is_pattern(source) and not _exists(source)  # 100%done.png may be a file, too
    is_video = source.suffix.lower() in VIDEO_SUFFIXES or is_frames
    return "video" if is_video else "image"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # of a name that no file can have
        return False


def _holds_results(source: Path, given: Path, output: Path) -> bool:
    results, searched = output.resolve(), given.resolve()
    inside = results != searched and results.is_relative_to(searched)
    return inside and source.parent.resolve().is_relative_to(results)
