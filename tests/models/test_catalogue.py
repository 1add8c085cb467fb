"""The catalogue: every entry has what it needs, and can be run and found."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from helpers.catalogues import make_entry, write_catalogue
from helpers.web_server import Site

from sr.errors import ModelFileError
from sr.models.bundled import BUNDLED, find_bundled
from sr.models.catalogue import (
    SPEEDS,
    CatalogueEntry,
    find_entry,
    fold_name,
    list_catalogue,
    list_recommended,
)
from sr.models.detect_published import RECOGNIZED
from sr.models.find_model import resolve_model
from sr.models.list_models import list_models
from sr.models.openmodeldb import CLICK_HOSTS
from sr.models.spandrel_models import list_architectures

ENTRIES = list_catalogue()
FREE = {"BSD-3-Clause", "MIT", "Apache-2.0", "CC0-1.0", "CC-BY-4.0"}
SUFFIXES = {".pth", ".safetensors"}


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_an_entry_has_all_that_it_needs(entry: CatalogueEntry) -> None:
    assert re.fullmatch(r"[a-z0-9-]{4,28}", entry.name)
    assert 0 < len(entry.purpose) <= 80
    assert "\n" not in entry.purpose
    assert entry.scale in (1, 2, 4)
    assert entry.speed in SPEEDS
    assert entry.license in FREE
    assert entry.author
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert 100_000 < entry.size < 500_000_000
    assert Path(entry.file).suffix in SUFFIXES
    assert entry.urls
    for url in (*entry.urls, entry.source):
        assert urlsplit(url).scheme == "https"
        assert urlsplit(url).hostname not in CLICK_HOSTS
    assert all(urlsplit(url).path.endswith(Path(entry.file).suffix) for url in entry.urls)
    assert len(set(entry.urls)) == len(entry.urls)
    assert entry.uses
    assert set(entry.uses) <= list_recommended().keys()


@pytest.mark.parametrize("architecture", sorted({entry.architecture for entry in ENTRIES}))
def test_the_program_runs_every_network_of_the_list(architecture: str) -> None:
    assert architecture in (*RECOGNIZED, *list_architectures())


def test_names_and_hashes_stand_for_one_model() -> None:
    names = [fold_name(name) for name in (*(e.name for e in ENTRIES), *(b.name for b in BUNDLED))]
    assert len(set(names)) == len(names)
    assert len({entry.sha256 for entry in ENTRIES}) == len(ENTRIES)
    assert not set(names) & list_recommended().keys()


def test_what_is_recommended_exists_bundled_models_first() -> None:
    recommended = list_recommended()
    assert {"photo", "anime", "text", "video"} <= recommended.keys()
    for use, names in recommended.items():
        bundled = [find_bundled(name) is not None for name in names]
        assert bundled == sorted(bundled, reverse=True), use
        assert all(find_entry(name) or find_bundled(name) for name in names), use
    for each in BUNDLED:
        assert set(each.uses) <= recommended.keys()


def test_entries_are_found_by_words_of_any_field() -> None:
    anime = list_models("anime")
    assert "realesrgan-x4plus-anime-6b" in [model.name for model in anime]
    assert {model.scale for model in list_models("Anime x2")} == {2}
    assert list_models("no-such-word") == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": "other"}', '{"format": "sr-catalogue-1", "models": [{}]}'],
)
def test_another_list_that_is_none_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    monkeypatch.setenv("SR_CATALOGUE", str(path))
    with pytest.raises(ModelFileError, match=r"SR_CATALOGUE .*mine.json: expected a list of m"):
        list_catalogue()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": "7"}, "t: size: expected another value than '7'"),
        ({"size": -7}, "t: size: "),
        ({"scale": True}, "t: scale: "),
        ({"urls": "https://example.com/m.pth"}, "t: urls: "),
        ({"urls": []}, "a license and a URL"),
        ({"urls": [1]}, "t: urls: "),
        ({"author": None}, "t: author: "),
        ({"license": ""}, "a license and a URL"),
        ({"sha256": "A" * 64}, "a SHA-256"),
        ({"name": "../t"}, "a plain name"),
        ({"name": "t t"}, "a plain name"),
        ({"name": "T_1"}, "t-1: expected one model of this name, got more"),
    ],
)
def test_an_entry_of_another_list_is_checked(
    fields: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(9)
    other = make_entry(site, "t-1", b"m")
    entry = {**make_entry(site, "t", b"m"), **fields}
    path = write_catalogue(tmp_path / "mine.json", other, entry)
    monkeypatch.setenv("SR_CATALOGUE", str(path))
    with pytest.raises(ModelFileError, match=re.escape(message)):
        list_catalogue()


@pytest.mark.parametrize("names", [[], "span_x4", ["nobody"], [1]])
def test_a_purpose_of_another_list_names_models(
    names: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_catalogue(tmp_path / "mine.json", photo=names)
    monkeypatch.setenv("SR_CATALOGUE", str(path))
    with pytest.raises(ModelFileError, match="recommended: photo: expected "):
        list_recommended()


def test_a_bundled_model_does_not_need_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SR_CATALOGUE", "none.json")
    assert resolve_model("span_x4") == BUNDLED[0].file
    monkeypatch.setenv("SR_CATALOGUE", "~nobody/none.json")
    with pytest.raises(ModelFileError, match=r"SR_CATALOGUE ~nobody/none\.json: expected a l"):
        resolve_model("photo")
