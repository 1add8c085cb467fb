"""Models on openmodeldb.info: `openmodeldb:NAME`, by its public API.

The API is one JSON file, id -> name, author, license, scale, and resources with type, size, SHA-256
and URLs. SR_OPENMODELDB is the address of another copy.
"""

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from sr.errors import ModelFileError
from sr.io.https import FAULTS, SourceError, describe_fault, is_offline, read_json
from sr.models.catalogue import fold_name
from sr.models.remote_file import (
    RemoteFile,
    find_models_folder,
    is_sha256,
    list_files,
    read_record,
)

PREFIX = "openmodeldb:"
DEFAULT_URL = "https://openmodeldb.info/api/v1/models.json"
TYPES = ("safetensors", "pth", "pt", "ckpt", "onnx")  # in this order of preference
CLICK_HOSTS = (
    *("drive.google.com", "mega.nz", "mediafire.com", "icedrive.net", "1drv.ms", "gofile.io"),
    *("pixeldrain.com", "workupload.com", "dropbox.com", "pan.baidu.com"),
)
"""Whose addresses are pages to click on, not files."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_in_database(text: str, *, again: bool = False) -> RemoteFile:
    """Return the file of `openmodeldb:NAME`; of one that is here already by its id, without asking.

    again: ask in any case. NAME: the model's id, or its name if no other has that; upper and lower
    case, `-`, `_` and spaces are the same. Raises ModelFileError where there is no such model, or
    no file to be had without a click.
    """
    name = text.removeprefix(PREFIX)
    if not name.strip():
        raise ModelFileError(f"{text}: expected openmodeldb:NAME")
    recorded = None if again else find_recorded(text)
    if recorded is not None:
        return recorded
    identity, model = _choose_model(text, name, _read_database(text))
    resource = _choose_resource(text, model)
    author = model.get("author") or ""
    size = resource.get("size")
    return RemoteFile(
        name=f"{PREFIX}{identity}",
        urls=tuple(_list_direct(resource)),
        sha256=str(resource["sha256"]).lower(),
        size=size if type(size) is int and size > 0 else None,
        license=str(model.get("license") or "not stated"),
        author=", ".join(map(str, author)) if isinstance(author, list) else str(author),
        file=_find_folder() / f"{identity}.{resource['type'].lower()}",
    )


def find_recorded(text: str) -> RemoteFile | None:
    """Return the file that was downloaded by this id, if it is there."""
    name = fold_name(text.removeprefix(PREFIX))
    for kind in TYPES:
        for file in list_files(_find_folder(), f"*.{kind}"):
            if fold_name(file.stem) == name and (remote := read_record(file)):
                return remote
    return None


def _find_folder() -> Path:
    return find_models_folder() / "openmodeldb"


def _read_database(text: str) -> Mapping[str, Any]:
    url = os.environ.get("SR_OPENMODELDB", DEFAULT_URL)
    if is_offline():
        raise ModelFileError(
            f"{text}: not downloaded yet, and SR_OFFLINE forbids the network\n  By hand: get its"
            " file from https://openmodeldb.info, and -m FILE"
        )
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
    name = fold_name(name)
    known = {identity: model for identity, model in database.items() if _ID.fullmatch(identity)}
    found = [each for each in known if fold_name(each) == name]
    found = found or [
        each for each in known if fold_name(str(known[each].get("name") or "")) == name
    ]
    if len(found) == 1:
        return found[0], known[found[0]]
    if found:
        raise ModelFileError(f"{text}: expected one model, got several: {', '.join(found[:8])}")
    close = get_close_matches(name, list(database), n=3, cutoff=0.5)
    meant = f", did you mean {' or '.join(close)}?" if close else ""
    raise ModelFileError(f"{text}: no such model in the database{meant}")


def _choose_resource(text: str, model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first file that can be had, and checked."""
    resources = [each for each in _read_list(model, "resources") if isinstance(each, dict)]
    for kind in TYPES:
        for resource in resources:
            hashed = is_sha256(str(resource.get("sha256")).lower())
            is_kind = str(resource.get("type")).lower() == kind
            if is_kind and hashed and _list_direct(resource):
                return resource
    pages = [str(url) for each in resources for url in _read_list(each, "urls")]
    raise ModelFileError(
        f"{text}: expected a model file with a SHA-256 and a direct address, got none; by hand:"
        f" {', '.join(pages) or 'no address'}"
    )


def _list_direct(resource: Mapping[str, Any]) -> Sequence[str]:
    """Return the addresses of files, not of pages to click on nor of archives."""
    direct = []
    for url in map(str, _read_list(resource, "urls")):
        try:
            parts = urlsplit(url)
        except ValueError:
            continue
        host = (parts.hostname or "").removeprefix("www.")
        is_archive = PurePosixPath(unquote(parts.path)).suffix.lower() in (".zip", ".7z", ".rar")
        if parts.scheme in ("http", "https") and host not in CLICK_HOSTS and not is_archive:
            direct.append(url)
    return direct


def _read_list(fields: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = fields.get(name)
    return value if isinstance(value, list) else []
