"""What a user calls a model -> its file: a path, a name, or a source on the web.

Only names that stand for files of others can download something, and only when they are asked for.
"""

import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sr.errors import ModelFileError
from sr.models.bundled import BUNDLED, SUFFIX, find_bundled
from sr.models.catalogue import find_entry, fold_name, list_catalogue, list_recommended
from sr.models.remote_file import (
    RemoteFile,
    check_hash,
    fetch_file,
    find_models_folder,
    is_sha256,
    list_files,
    list_recorded,
    read_record,
)

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".onnx", ".param")
"""Of model files in the folders of SR_MODELS; of one stem, the first of these."""


def resolve_model(model: str | os.PathLike[str], sha256: str | None = None) -> Path:
    """Return the model's file, downloaded if it is not there and was named.

    In this order: the file at this path; a file of this stem in a folder of SR_MODELS; the bundled
    model of this name, with or without .safetensors; the best bundled one for a purpose such as
    `photo`; `hf:owner/repo[/file][@revision]`, `openmodeldb:NAME`, `https://...` (needs `sha256`);
    the model of this name, or the best one for this purpose, of the catalogue.

    A file in the current folder goes before a name; a folder does not. As text, `./span_x4` is a
    path and never a name (a Path drops the `./`).

    sha256: that the file must have, in hexadecimal. Raises ModelFileError where there is no such
    model, it cannot be had, or it has another hash.
    """
    text = os.fspath(model)
    if sha256 is not None:
        sha256 = sha256.lower()
        if not is_sha256(sha256):
            raise ModelFileError(f"expected a SHA-256 of 64 hexadecimal digits, got {sha256}")
    file = find_local(text) or fetch_file(find_remote(text, sha256))
    if sha256 is not None:
        check_hash(file, sha256)
    return file


def find_remote(text: str, sha256: str | None = None, *, again: bool = False) -> RemoteFile:
    """Return the file on the web that a name stands for, without downloading it.

    again: ask the hub and the database also for what was downloaded by this name before.

    Raises ModelFileError where it stands for none.
    """
    # Imported here: the usual names do not need them.
    if text.startswith("hf:"):
        from sr.models.hub import find_on_hub

        return find_on_hub(text, sha256, again=again)
    if text.startswith("openmodeldb:"):
        from sr.models.openmodeldb import find_in_database

        return find_in_database(text, again=again)
    if text.startswith(("https://", "http://")):
        return _make_remote(text, sha256)
    entry = find_entry(text)
    if entry is None:
        names = list_recommended().get(text, ())
        entry = find_entry(names[0]) if names else None
    if entry is None:
        raise ModelFileError(_describe_unknown(text))
    return entry.remote


def is_source(text: str) -> bool:
    """Return whether a name says where on the web the file is."""
    return text.startswith(("hf:", "openmodeldb:", "https://", "http://"))


def find_downloaded(text: str) -> RemoteFile | None:
    """Return what was downloaded from a source, without asking there; None if nothing was."""
    if text.startswith("hf:"):
        from sr.models.hub import find_recorded as find_of_hub

        return find_of_hub(text)
    if text.startswith("openmodeldb:"):
        from sr.models.openmodeldb import find_recorded

        return find_recorded(text)
    return next((each for each in list_recorded() if text in (each.name, *each.urls)), None)


def find_local(text: str) -> Path | None:
    """Return the file of a path, of SR_MODELS, or of a bundled model."""
    path = Path(text)
    try:
        if path.is_file():
            return path
    except OSError as error:  # of a name that no file can have, or behind a closed folder
        raise ModelFileError(f"{text}: no such model file ({error.strerror})") from None
    own = _find_in_folders(text)
    if own is not None:
        return own
    bundled = find_bundled(text.removesuffix(SUFFIX))
    if bundled is None:
        bundled = find_bundled(list_recommended().get(text, ("",))[0])
    return None if bundled is None else bundled.file


def _find_in_folders(name: str) -> Path | None:
    """Return the first file of this stem in the folders of SR_MODELS."""
    if not name or set(name) & {"/", os.sep, "\0", ":"}:
        return None
    for folder in _list_folders():
        for suffix in SUFFIXES:
            file = folder / f"{name}{suffix}"
            if os.path.isfile(file):
                return file
    return None


def find_source(file: Path) -> RemoteFile | None:
    """Return what is known of a file that was downloaded: license, author, where from."""
    listed = (entry.remote for entry in list_catalogue())
    return next((remote for remote in listed if remote.file == file), None) or read_record(file)


def list_own() -> Iterator[tuple[str, Path]]:
    """Return the names and files of the models in the folders of SR_MODELS."""
    seen: set[str] = set()
    for folder in _list_folders():
        files = [each for each in list_files(folder, "*") if each.suffix.lower() in SUFFIXES]
        for name in sorted({file.stem for file in files} - seen):
            file = _find_in_folders(name)
            seen.add(name)
            if file is not None:
                yield name, file


def _list_folders() -> list[Path]:
    named = os.environ.get("SR_MODELS", "").split(os.pathsep)
    # Of a user that does not exist, Path.expanduser raises RuntimeError.
    return [Path(os.path.expanduser(folder)) for folder in named if folder]


def _make_remote(url: str, sha256: str | None) -> RemoteFile:
    if sha256 is None:
        raise ModelFileError(
            f"{url}: expected --sha256 with the file's SHA-256, without which nobody knows what it"
            " will be"
        )
    from sr.io.https import check_url

    check_url(url)
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if Path(name).suffix.lower() not in SUFFIXES[:-1]:
        raise ModelFileError(f"{url}: expected a name that ends in {', '.join(SUFFIXES[:-1])}")
    # Windows has no files CON, nul.pth or COM1.onnx.
    kept = r"^[.]|^(?=(?i:con|prn|aux|nul|com\d|lpt\d)[.])|[^A-Za-z0-9._-]"
    plain = re.sub(kept, "_", name[-100:])
    return RemoteFile(
        name=url,
        urls=(url,),
        sha256=sha256,
        size=None,
        license="not stated",
        author="",
        file=find_models_folder() / "urls" / sha256[:16] / plain,
    )


def _describe_unknown(text: str) -> str:
    path = Path(text)
    got = "a folder; expected a model file" if path.is_dir() else "no such model file"
    bundled = [each.name for each in BUNDLED]
    known = [*bundled, *list_recommended(), *(entry.name for entry in list_catalogue())]
    close = _find_close(path.name, known)
    meant = f", did you mean {' or '.join(close)}?" if close else "."
    return (
        f"{text or repr(text)}: {got}{meant} Bundled models: {', '.join(bundled)}; `infer.py"
        " --list-models` lists these and those that can be downloaded"
    )


def _find_close(name: str, known: Iterable[str]) -> list[str]:
    """Return known names that this one may stand for, by a part such as `rbpn`, or mistyped."""
    name = fold_name(name)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    folded = {fold_name(each): each for each in known}
    if name in folded:
        return [folded[name]]
    within = [each for other, each in folded.items() if len(name) > 1 and name in other][:3]
    close = get_close_matches(name, list(folded), n=2, cutoff=0.7)
    return within or [folded[each] for each in close]
