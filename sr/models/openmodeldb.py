"""Models on openmodeldb.info: `openmodeldb:NAME`, by its public API.

The API is one JSON file, id -> name, author, license, scale, and resources with type, size, SHA-256
and URLs. SR_OPENMODELDB is the address of another copy.
"""

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from sr.errors import ModelFileError
from sr.io.https import FAULTS, SourceError, describe_fault, is_offline, read_json
from sr.models.catalogue import fold_name
from sr.models.remote_file import RemoteFile, find_models_folder, read_record

PREFIX = "openmodeldb:"
DEFAULT_URL = "https://openmodeldb.info/api/v1/models.json"
TYPES = ("safetensors", "pth", "pt", "ckpt", "onnx")  # in this order of preference
CLICK_HOSTS = (
    *("drive.google.com", "mega.nz", "mediafire.com", "icedrive.net", "1drv.ms", "gofile.io"),
    *("pixeldrain.com", "workupload.com", "dropbox.com", "pan.baidu.com"),
)
"""Whose addresses are pages to click on, not files."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_in_database(text: str, *, again: bool = False) -> RemoteFile:
    """Return the file of `openmodeldb:NAME`; of one that is here already, without asking.

    again: ask in any case. NAME: the model's id or name; upper and lower case, `-`, `_` and
    spaces are the same. Raises ModelFileError where there is no such model, or no file to be
    had without a click.
    """
    name = text.removeprefix(PREFIX)
    if not name.strip():
        raise ModelFileError(f"{text}: expected openmodeldb:NAME")
    folder = find_models_folder() / "openmodeldb"
    for kind in () if again else TYPES:
        for file in sorted(folder.glob(f"*.{kind}")):
            if fold_name(file.stem) == fold_name(name) and (remote := read_record(file)):
                return remote
    identity, model = _choose_model(text, name, _read_database(text))
    resource = _choose_resource(text, model)
    author = model.get("author") or ""
    size = resource.get("size")
    return RemoteFile(
        name=f"{PREFIX}{identity}",
        urls=tuple(_list_direct(resource)),
        sha256=str(resource["sha256"]).lower(),
        size=size if isinstance(size, int) and size > 0 else None,
        license=str(model.get("license") or "not stated"),
        author=", ".join(map(str, author)) if isinstance(author, list) else str(author),
        file=folder / f"{identity}.{resource['type'].lower()}",
    )


def _read_database(text: str) -> Mapping[str, Any]:
    url = os.environ.get("SR_OPENMODELDB", DEFAULT_URL)
    if is_offline():
        raise ModelFileError(f"{text}: not downloaded yet, and SR_OFFLINE forbids the network")
    try:
        read = read_json(url)
    except SourceError as error:
        raise ModelFileError(f"{text}: {url}: {error}") from None
    except FAULTS as error:
        raise ModelFileError(f"{text}: {url}: {describe_fault(error)}") from None
    if not isinstance(read, dict):
        raise ModelFileError(f"{text}: {url}: expected models by id, got {type(read).__name__}")
    return {name: model for name, model in read.items() if isinstance(model, dict)}


def _choose_model(
    text: str, name: str, database: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    for identity, model in database.items():
        names = (identity, str(model.get("name")))
        if fold_name(name) in map(fold_name, names) and _ID.fullmatch(identity):
            return identity, model
    close = get_close_matches(name, list(database), n=3, cutoff=0.5)
    meant = f", did you mean {' or '.join(close)}?" if close else ""
    raise ModelFileError(f"{text}: no such model in the database{meant}")


def _choose_resource(text: str, model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first file that can be had, and checked."""
    resources = [each for each in model.get("resources") or [] if isinstance(each, dict)]
    for kind in TYPES:
        for resource in resources:
            hashed = _SHA256.fullmatch(str(resource.get("sha256")).lower())
            is_kind = str(resource.get("type")).lower() == kind
            if is_kind and hashed and _list_direct(resource):
                return resource
    pages = [str(url) for each in resources for url in each.get("urls") or []]
    raise ModelFileError(
        f"{text}: expected a model file with a SHA-256 and a direct address, got none; by hand:"
        f" {', '.join(pages) or 'no address'}"
    )


def _list_direct(resource: Mapping[str, Any]) -> Sequence[str]:
    """Return the addresses of files, not of pages to click on nor of archives."""
    direct = []
    for url in map(str, resource.get("urls") or []):
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
        is_archive = PurePosixPath(unquote(parts.path)).suffix.lower() in (".zip", ".7z", ".rar")
        if parts.scheme in ("http", "https") and host not in CLICK_HOSTS and not is_archive:
            direct.append(url)
    return direct
