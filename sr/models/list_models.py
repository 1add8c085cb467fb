"""All models that have a name here: bundled, downloaded, and to be downloaded."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sr.errors import ModelFileError
from sr.models.bundled import BUNDLED, BundledModel
from sr.models.catalogue import CatalogueEntry, list_catalogue
from sr.models.find_model import list_own
from sr.models.remote_file import RemoteFile, list_recorded

State = Literal["bundled", "own", "downloaded", "available", "missing"]


@dataclass(frozen=True)
class ListedModel:
    """What there is to know before a model is chosen; what is not known is None or empty."""

    name: str
    state: State
    """missing: a bundled model whose file is not there. own: in a folder of SR_MODELS."""
    purpose: str = ""
    uses: tuple[str, ...] = ()
    scale: int | None = None
    network: str = ""
    num_weights: int | None = None
    speed: str = ""
    license: str = ""
    author: str = ""
    num_bytes: int | None = None
    file: Path | None = None
    """Where it is, if it is here."""
    sha256: str = ""
    urls: tuple[str, ...] = ()
    source: str = ""
    takes_clips: bool = False

    def matches(self, words: str) -> bool:
        """Whether all words are in what is known of the model."""
        scale = "" if self.scale is None else f"x{self.scale}"
        fields = (self.name, self.state, self.purpose, *self.uses, self.network, self.speed, scale)
        text = " ".join((*fields, self.license, self.author, *self.urls)).lower()
        return all(word in text for word in words.lower().split())

    def as_fields(self) -> dict[str, Any]:
        """Return what JSON holds."""
        file = None if self.file is None else str(self.file)
        return {**asdict(self), "file": file, "uses": list(self.uses), "urls": list(self.urls)}


def list_models(words: str = "") -> list[ListedModel]:
    """Return the models in which all words occur; nothing is downloaded or asked for."""
    return [model for model in _list_all() if model.matches(words)]


def _list_all() -> Iterator[ListedModel]:
    yield from map(_describe_bundled, BUNDLED)
    for name, file in list_own():
        yield ListedModel(name, "own", num_bytes=file.stat().st_size, file=file)
    entries = list_catalogue()
    here = [entry for entry in entries if entry.is_downloaded]
    yield from map(_describe_entry, here)
    yield from map(_describe_recorded, list_recorded())
    yield from (_describe_entry(entry) for entry in entries if entry not in here)


def _describe_bundled(bundled: BundledModel) -> ListedModel:
    try:
        facts = bundled.read_facts()
    except ModelFileError:
        return ListedModel(bundled.name, "missing", bundled.purpose)
    return ListedModel(
        bundled.name,
        "bundled",
        bundled.purpose,
        uses=bundled.uses,
        scale=facts.scale,
        network=facts.network,
        num_weights=facts.num_weights,
        license=facts.license,
        num_bytes=facts.num_bytes,
        file=bundled.file,
        takes_clips=facts.takes_clips,
    )


def _describe_entry(entry: CatalogueEntry) -> ListedModel:
    is_here = entry.is_downloaded
    return ListedModel(
        entry.name,
        "downloaded" if is_here else "available",
        entry.purpose,
        uses=entry.uses,
        scale=entry.scale,
        network=entry.architecture,
        speed=entry.speed,
        license=entry.license,
        author=entry.author,
        num_bytes=entry.size,
        file=entry.remote.file if is_here else None,
        sha256=entry.sha256,
        urls=entry.urls,
        source=entry.source,
    )


def _describe_recorded(remote: RemoteFile) -> ListedModel:
    return ListedModel(
        remote.name,
        "downloaded",
        license=remote.license,
        author=remote.author,
        num_bytes=remote.size,
        file=remote.file,
        sha256=remote.sha256,
        urls=remote.urls,
    )
