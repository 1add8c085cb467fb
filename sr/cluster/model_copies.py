"""Model files in Ray's object store: put there once, a copy on each node that has not the file."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sr.inference.named_files import ModelFiles
from sr.inference.options import InferOptions
from sr.io.atomic_write import atomic_write
from sr.io.cache_folder import find_cache_folder
from sr.models.ncnn_file import SUFFIX, WEIGHTS_SUFFIX, is_ncnn

_FOLDER = "cluster_models"


@dataclass(frozen=True)
class ModelCopy:
    """The files of one model, of which the first is the one that is named."""

    path: Path
    """Where it is on the driver's machine, and perhaps on others."""
    sha256: str
    """Of the files, one after the other."""
    contents: dict[str, Any]
    """References to the bytes in the object store, by file name."""


def put_models(files: ModelFiles) -> list[ModelCopy]:
    """Put the files of a run's models into the object store."""
    import ray

    paths = [*files.chain, *([] if files.strength_with is None else [files.strength_with])]
    copies = []
    for path in paths:
        contents = {each.name: each.read_bytes() for each in _list_files(path)}
        references = {name: ray.put(content) for name, content in contents.items()}
        copies.append(ModelCopy(path.absolute(), hash_contents([*contents.values()]), references))
    return copies


def take_models(options: InferOptions, copies: list[ModelCopy]) -> InferOptions:
    """Return the options with models that are on this machine, copied from the store if need be.

    copies: of the models in the chain, and of the one that is mixed in, if there is one.
    """
    paths = [str(_find_or_write(copy)) for copy in copies]
    if options.texture.strength_with is not None:
        options = replace(options, texture=replace(options.texture, strength_with=paths.pop()))
    return replace(options, model=tuple(paths) or None, sha256=None)


def _find_or_write(copy: ModelCopy) -> Path:
    import ray

    for folder in (copy.path.parent, _locate(copy)):
        if _is_there(copy, folder):
            return folder / copy.path.name
    folder = _locate(copy)
    folder.mkdir(parents=True, exist_ok=True)
    for name, reference in copy.contents.items():
        with atomic_write(folder / name) as unfinished:
            unfinished.write_bytes(ray.get(reference))
    return folder / copy.path.name


def _locate(copy: ModelCopy) -> Path:
    return find_cache_folder() / _FOLDER / copy.sha256[:16]


def _is_there(copy: ModelCopy, folder: Path) -> bool:
    try:
        return (
            hash_contents([(folder / name).read_bytes() for name in copy.contents]) == copy.sha256
        )
    except OSError:
        return False


def _list_files(path: Path) -> list[Path]:
    """Return a model's file, or the pair of ncnn."""
    if is_ncnn(path):
        return [path.with_suffix(SUFFIX), path.with_suffix(WEIGHTS_SUFFIX)]
    return [path]


def hash_contents(contents: list[bytes]) -> str:
    """Return the SHA-256 of the files of a model, one after the other."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()
