"""Models of openmodeldb.info, by a copy of its API's file on a test's own server."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.web_server import Site, claim, drip, give, give_json, run_site, status

from sr.errors import ModelFileError
from sr.models.find_model import find_remote, resolve_model

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SR_OFFLINE", raising=False)
    with run_site() as site:
        monkeypatch.setenv("SR_OPENMODELDB", f"{site.address}/api/v1/models.json")
        yield site


def publish(site: Site, *resources: dict[str, Any], **fields: Any) -> None:
    model = {
        "name": "Great Model",
        "author": ["jane", "joe"],
        "license": "CC-BY-NC-4.0",
        "architecture": "compact",
        "scale": 4,
        "resources": list(resources),
        **fields,
    }
    site.add("/api/v1/models.json", give_json(json.dumps({"4x-Great": model, "odd": None})))


def resource(*urls: str, **fields: Any) -> dict[str, Any]:
    about = {"platform": "pytorch", "type": "pth", "size": len(CONTENT), "sha256": SHA256}
    return {**about, "urls": list(urls), **fields}


def test_a_model_is_had_by_its_id_or_name_and_its_hash(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = site.add("/4x-Great.pth", give(CONTENT))
    publish(
        site,
        resource("https://drive.google.com/file/d/1/view", f"{site.address}/great.zip", url),
        resource(url, type="onnx"),
    )
    file = resolve_model("openmodeldb:4x_great")
    assert file == tmp_path / "cache/models/openmodeldb/4x-Great.pth"
    assert file.read_bytes() == CONTENT
    assert capsys.readouterr().err == (
        f"openmodeldb:4x-Great (0.0 MB, license: CC-BY-NC-4.0 by jane, joe): downloading {url}\n"
    )
    num_requests = len(site.requests)
    assert resolve_model("openmodeldb:4x-Great") == file
    assert len(site.requests) == num_requests
    assert find_remote("openmodeldb:Great Model", again=True).file == file


def test_a_model_without_a_direct_address_or_hash_names_its_pages(site: Site) -> None:
    page, url = "https://mega.nz/file/1", f"{site.address}/m.pth"
    publish(site, resource(page), resource(url, sha256=None), resource(url, type="zip"))
    with pytest.raises(ModelFileError, match=f"a direct address, got none; by hand: {page}, "):
        resolve_model("openmodeldb:4x-Great")


@pytest.mark.parametrize("size", [None, 0, "7"])
def test_a_size_that_is_not_stated_is_not_needed(site: Site, size: object) -> None:
    publish(site, resource(site.add("/m.pth", give(CONTENT)), size=size))
    assert resolve_model("openmodeldb:4x-Great").read_bytes() == CONTENT


def test_what_cannot_be_had_is_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site)
    with pytest.raises(ModelFileError, match="no such model in the database, did you mean 4x-Gr"):
        resolve_model("openmodeldb:4x-Graet")
    with pytest.raises(ModelFileError, match="expected openmodeldb:NAME"):
        resolve_model("openmodeldb:")
    for answer in (give_json("[1]"), give_json("no"), status(404), status(503)):
        site.add("/api/v1/models.json", answer)
        with pytest.raises(ModelFileError, match=r"^openmodeldb:m: http://.*json: "):
            resolve_model("openmodeldb:m")
    monkeypatch.setenv("SR_OFFLINE", "1")
    with pytest.raises(ModelFileError, match="SR_OFFLINE forbids the network"):
        resolve_model("openmodeldb:m")


@pytest.mark.parametrize(
    "fields",
    [
        {"resources": 5},
        {"resources": [resource() | {"urls": 5}]},
        {"resources": [resource() | {"urls": "https://example.com/m.pth"}]},
        {"resources": [resource("https://[x/m.pth")]},
    ],
)
def test_an_odd_entry_is_reported(site: Site, fields: dict[str, Any]) -> None:
    publish(site, **fields)
    with pytest.raises(ModelFileError, match="a direct address, got none; by hand: "):
        find_remote("openmodeldb:4x-Great")


def test_an_id_goes_before_a_name_and_several_of_a_name_are_refused(site: Site) -> None:
    url = f"{site.address}/m.pth"
    models = {
        "a": {"name": "b", "resources": [resource(url)]},
        "b": {"name": "twice", "resources": [resource(url)]},
        "c": {"name": "Twice", "resources": [resource(url)]},
        "d": {"resources": [resource(url)]},
    }
    site.add("/api/v1/models.json", give_json(json.dumps(models)))
    assert find_remote("openmodeldb:b").name == "openmodeldb:b"
    with pytest.raises(ModelFileError, match="expected one model, got several: b, c"):
        find_remote("openmodeldb:twice")
    with pytest.raises(ModelFileError, match="no such model in the database"):
        find_remote("openmodeldb:None")


def test_an_answer_that_is_cut_or_slow_is_a_lost_connection(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("/api/v1/models.json", claim(b'{"a": {}}', 100))
    with pytest.raises(ModelFileError, match="json: cut off after 9 bytes"):
        find_remote("openmodeldb:a")
    monkeypatch.setattr("sr.io.https.MAX_JSON_SECONDS", 0.05)
    site.add("/api/v1/models.json", drip(b" " * 1000, 0.02))
    with pytest.raises(ModelFileError, match=r"json: not complete after 0\.05 s"):
        find_remote("openmodeldb:a")
