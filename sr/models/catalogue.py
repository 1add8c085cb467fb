"""Models of others by name: a list of files with license, size, hash and sources.

The list is sr/models/catalogue.json, or the file that SR_CATALOGUE names. In ours are files whose
license allows any use (BSD, MIT, Apache, CC0, and CC-BY, whose author is named), that can be had
without a click, and whose network the program runs.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from sr.errors import ModelFileError
from sr.models.bundled import find_bundled
from sr.models.remote_file import RemoteFile, find_models_folder, is_sha256

FORMAT = "sr-catalogue-1"
SPEEDS = {"fast": 60, "medium": 300, "slow": 1100, "very slow": None}
"""Upper bounds in seconds per megapixel of the input, of one thread of a Xeon with AVX-512, fp32;
span_x4 takes 24."""


@dataclass(frozen=True)
class CatalogueEntry:
    """One file of the catalogue."""

    name: str
    purpose: str
    uses: tuple[str, ...]
    """Words that it is found by: photo, anime, dejpeg, ..."""
    scale: int
    architecture: str
    speed: str
    """A key of `SPEEDS`."""
    license: str
    """SPDX identifier."""
    author: str
    file: str
    size: int
    sha256: str
    urls: tuple[str, ...]
    source: str
    """A page that describes it."""

    @property
    def remote(self) -> RemoteFile:
        """The file on the web, kept as NAME with its own ending."""
        return RemoteFile(
            name=self.name,
            urls=self.urls,
            sha256=self.sha256,
            size=self.size,
            license=self.license,
            author=self.author,
            file=find_models_folder() / f"{self.name}{Path(self.file).suffix}",
            is_listed=True,
        )

    @property
    def is_downloaded(self) -> bool:
        """Whether its file is in the folder of downloaded models."""
        return self.remote.is_here


def list_catalogue() -> tuple[CatalogueEntry, ...]:
    """Return all entries, in the order of the file."""
    return _read_catalogue(os.environ.get("SR_CATALOGUE", ""))[0]


def list_recommended() -> Mapping[str, tuple[str, ...]]:
    """Return for each purpose (photo, anime, ...) the names of models, the best one first.

    Bundled models stand before those that have to be downloaded.
    """
    return _read_catalogue(os.environ.get("SR_CATALOGUE", ""))[1]


def find_entry(name: str) -> CatalogueEntry | None:
    """Return the entry of this name; upper and lower case, `-`, `_` and spaces are the same."""
    name = fold_name(name)
    return next((entry for entry in list_catalogue() if fold_name(entry.name) == name), None)


def fold_name(name: str) -> str:
    """Return a name in the spelling in which names are compared."""
    return name.lower().replace("_", "-").replace(" ", "-")


@cache
def _read_catalogue(path: str) -> tuple[tuple[CatalogueEntry, ...], dict[str, tuple[str, ...]]]:
    """Return the entries, and the names of the best ones by purpose. path: empty for ours."""
    ours = resources.files("sr.models").joinpath("catalogue.json")
    try:
        text = (Path(os.path.expanduser(path)) if path else ours).read_text(encoding="utf-8")
        read = json.loads(text)
        if read["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {read['format']!r}")
        entries = tuple(map(_make_entry, read["models"]))
        _check_names(entries, read["recommended"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = error if isinstance(error, ValueError) else repr(error)
        raise ModelFileError(
            f"SR_CATALOGUE {path}: expected a list of models as sr/models/catalogue.json, got"
            f" something else ({why})"
        ) from None
    return entries, {use: tuple(names) for use, names in read["recommended"].items()}


def _make_entry(fields: Mapping[str, Any]) -> CatalogueEntry:
    for name, value in fields.items():
        if name in ("scale", "size"):
            is_right = type(value) is int and value > 0
        elif name in ("uses", "urls"):
            is_right = isinstance(value, list) and _holds_texts(value)
        else:
            is_right = isinstance(value, str)
        if not is_right:
            raise ValueError(f"{fields.get('name')}: {name}: expected another value than {value!r}")
    entry = CatalogueEntry(
        **{**fields, "uses": tuple(fields["uses"]), "urls": tuple(fields["urls"])}
    )
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry.name)
    if not (plain and is_sha256(entry.sha256) and entry.license and entry.urls):
        raise ValueError(f"{entry.name}: expected a plain name, a SHA-256, a license and a URL")
    return entry


def _check_names(entries: Sequence[CatalogueEntry], recommended: Mapping[str, Any]) -> None:
    """Raise ValueError for two entries of one name, and for names of none."""
    names = [fold_name(entry.name) for entry in entries]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]}: expected one model of this name, got more")
    for use, best in recommended.items():
        if not (isinstance(best, list) and best and _holds_texts(best)):
            raise ValueError(f"recommended: {use}: expected names of models, got {best!r}")
        unknown = [each for each in best if fold_name(each) not in names and not find_bundled(each)]
        if unknown:
            raise ValueError(f"recommended: {use}: expected a model, got {unknown[0]!r}")


def _holds_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
