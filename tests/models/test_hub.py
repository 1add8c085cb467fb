"""Models of huggingface.co, by its own client, from a hub on this machine."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.hub_site import COMMIT, Hub
from helpers.web_server import give, give_json, run_site, status

from sr.errors import ModelFileError
from sr.models.find_model import find_remote, resolve_model
from sr.models.hub import parse_reference

CONTENT = b"weights" * 1000
OTHER = b"others" * 1000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv("SR_OFFLINE", raising=False)
    with run_site() as site:
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        yield Hub(site)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf:a/b", ("a/b", None, "main")),
        ("hf:a/b@v1.0", ("a/b", None, "v1.0")),
        ("hf:a/b/m.pth", ("a/b", "m.pth", "main")),
        ("hf:a/b/sub/m.pth@refs/pr/1", ("a/b", "sub/m.pth", "refs/pr/1")),
    ],
)
def test_a_reference_names_repository_file_and_revision(
    text: str, parts: tuple[str, str | None, str]
) -> None:
    reference = parse_reference(text)
    assert (reference.repository, reference.file, reference.revision) == parts


@pytest.mark.parametrize(
    "text", ["hf:", "hf:a", "hf:a/", "hf:a/../b/m.pth", "hf:a/b/../../m.pth", "hf:../b", "hf:a/b@"]
)
def test_other_references_are_refused(text: str) -> None:
    with pytest.raises(ModelFileError, match=r"expected hf:OWNER/REPOSITORY"):
        parse_reference(text)


def test_the_only_model_file_is_taken_checked_and_kept(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.publish("jane/great", {"README.md": b"x", "m.pth": OTHER, "m.safetensors": CONTENT})
    file = resolve_model("hf:jane/great")
    assert file == tmp_path / "cache/models/hf/jane/great/main/m.safetensors"
    assert file.read_bytes() == CONTENT
    assert capsys.readouterr().err == (
        "hf:jane/great (0.0 MB, license: mit by jane): downloading"
        f" {hub.site.address}/jane/great/resolve/{COMMIT}/m.safetensors\n"
    )
    assert hub.site.requests[-1].headers["Authorization"] == "Bearer hf_secret"
    num_requests = len(hub.site.requests)
    monkeypatch.setenv("SR_OFFLINE", "1")
    assert resolve_model("hf:jane/great") == file
    assert len(hub.site.requests) == num_requests


def test_a_file_and_a_revision_can_be_named(hub: Hub, tmp_path: Path) -> None:
    hub.publish("jane/great", {"a.pth": OTHER, "sub/b.pth": CONTENT})
    file = resolve_model(f"hf:jane/great/sub/b.pth@{COMMIT}")
    assert file == tmp_path / f"cache/models/hf/jane/great/{COMMIT}/sub/b.pth"
    assert file.read_bytes() == CONTENT


def test_bytes_that_the_hub_did_not_state_are_not_opened(hub: Hub) -> None:
    hub.publish("jane/great", {"m.pth": CONTENT})
    hub.site.add(f"/jane/great/resolve/{COMMIT}/m.pth", give(CONTENT[::-1]))
    with pytest.raises(ModelFileError, match=r"expected SHA-256 .*, got "):
        resolve_model("hf:jane/great")


def test_a_file_whose_record_was_lost_gets_it_again(hub: Hub) -> None:
    hub.publish("jane/great", {"m.pth": CONTENT})
    file = resolve_model("hf:jane/great")
    (record,) = file.parent.glob("*.json")
    record.unlink()  # as a process that was killed in between leaves it
    resolve_model("hf:jane/great")
    num_requests = len(hub.site.requests)
    resolve_model("hf:jane/great")
    assert len(hub.site.requests) == num_requests


def test_a_file_is_found_by_every_reference_to_it(hub: Hub) -> None:
    hub.publish("jane/great", {"m.pth": CONTENT})
    file = resolve_model("hf:jane/great@main")
    num_requests = len(hub.site.requests)
    assert resolve_model("hf:jane/great") == resolve_model("hf:jane/great/m.pth") == file
    assert len(hub.site.requests) == num_requests
    file.unlink()  # its record alone has no log-in, which a private repository needs
    assert resolve_model("hf:jane/great/m.pth") == file
    assert hub.site.requests[-1].headers["Authorization"] == "Bearer hf_secret"


@pytest.mark.parametrize(
    ("card", "shown"),
    [
        ({"license": "other", "license_name": "my-terms"}, "my-terms"),
        ({"license": "other"}, "other"),
        ({}, "not stated"),
    ],
)
def test_the_license_is_that_of_the_page(hub: Hub, card: dict[str, str], shown: str) -> None:
    hub.publish("jane/great", {"m.pth": CONTENT}, cardData=card)
    assert find_remote("hf:jane/great").license == shown


@pytest.mark.parametrize("text", ["hf:a/b--c", "hf:a/b.git"])
def test_names_that_no_repository_can_have_are_refused(hub: Hub, text: str) -> None:
    with pytest.raises(ModelFileError, match=f"^{text}: "):
        resolve_model(text)
    assert not hub.site.requests


@pytest.mark.parametrize("answer", ["[1]", "no", "{}", '{"id": "a/b", "siblings": [1]}'])
def test_answers_of_something_else_than_a_hub_are_reported(hub: Hub, answer: str) -> None:
    hub.site.add("/api/models/a/b/revision/main", give_json(answer))
    with pytest.raises(ModelFileError, match=r"^hf:a/b: .*expected an answer of the hub, got "):
        resolve_model("hf:a/b")


@pytest.mark.parametrize("sha256", ["/../../../x", "", "g" * 64])
def test_a_hash_that_is_none_names_no_file(hub: Hub, tmp_path: Path, sha256: str) -> None:
    lfs = {"sha256": sha256, "size": 7, "pointerSize": 130}
    file = {"rfilename": "m.pth", "size": "7", "blobId": "b" * 40, "lfs": lfs}
    hub.publish("jane/great", {}, siblings=[file])
    with pytest.raises(ModelFileError, match=r"the hub states no SHA-256 of m\.pth"):
        resolve_model("hf:jane/great")
    assert not (tmp_path / "cache").exists()


def test_a_branch_that_moved_is_asked_for_again_only_on_request(hub: Hub) -> None:
    hub.publish("jane/great", {"m.pth": CONTENT})
    resolve_model("hf:jane/great")
    hub.publish("jane/great", {"m.pth": OTHER})
    assert resolve_model("hf:jane/great").read_bytes() == CONTENT
    assert find_remote("hf:jane/great", again=True).sha256 == hashlib.sha256(OTHER).hexdigest()


def test_what_the_hub_does_not_have_is_reported(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish("jane/great", {"a.pth": CONTENT, "b.pth": OTHER, "c.json": b"{}"})
    for text, message in {
        "hf:jane/great": r"expected one \.pth file, got 2; name one of them: a\.pth, b\.pth",
        "hf:jane/great/d.pth": "no such file in the repository; it has a.pth, b.pth, c.json",
        "hf:jane/great/c.json": "the hub states no SHA-256 of c.json; expected one by --sha256",
        "hf:jane/other": r"^hf:jane/other: .*(404|no such repository)",
    }.items():
        with pytest.raises(ModelFileError, match=message):
            resolve_model(text)
    hub.site.add("/api/models/a/b/revision/main", status(404, X_Error_Code="RepoNotFound"))
    with pytest.raises(ModelFileError, match=r"no such repository at http://127.0.0.1:"):
        resolve_model("hf:a/b")
    hub.site.add("/api/models/a/b/revision/x", status(404, X_Error_Code="RevisionNotFound"))
    with pytest.raises(ModelFileError, match="hf:a/b@x: no such revision"):
        resolve_model("hf:a/b@x")
    hub.publish("jane/none", {"c.json": b"{}"})
    with pytest.raises(ModelFileError, match=r"no model file \(\.safetensors, "):
        resolve_model("hf:jane/none")
    monkeypatch.setenv("SR_OFFLINE", "1")
    with pytest.raises(
        ModelFileError, match=r"(?s)SR_OFFLINE forbids .*get its file from h.*/a/b/"
    ):
        resolve_model("hf:a/b")
    monkeypatch.delenv("SR_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelFileError, match=r"http://127.0.0.1:9 cannot be reached: "):
        resolve_model("hf:a/b")
