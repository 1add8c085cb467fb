"""sr-models, --list-models, and infer.py with models that have to be downloaded."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.catalogues import make_entry, write_catalogue
from helpers.hub_site import Hub
from helpers.web_server import Site, give, run_site, status
from PIL import Image

from sr.cli.info import main as describe
from sr.cli.models import main
from sr.models.bundled import BUNDLED
from sr.models.find_model import resolve_model

Call = Callable[..., Any]


@pytest.fixture
def site(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with the file of `tiny-x2`, the only model of a catalogue."""
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SR_OFFLINE", raising=False)
    monkeypatch.delenv("SR_MODELS", raising=False)
    monkeypatch.chdir(tmp_path)
    with run_site() as site:
        content = model.read_bytes()
        site.add("/tiny-x2.safetensors", give(content))
        entry = make_entry(site, "tiny-x2", content)
        path = write_catalogue(tmp_path / "list.json", entry, photo=["tiny-x2"])
        monkeypatch.setenv("SR_CATALOGUE", str(path))
        yield site


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where tiny-x2 is when it was downloaded."""
    return tmp_path / "cache" / "models" / "tiny-x2.safetensors"


def run(*arguments: object) -> Any:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def test_an_image_is_upscaled_by_a_model_of_the_catalogue(
    site: Site, call: Call, images: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("-m", "tiny-x2", "-i", images / "a.png", "-o", "out.png") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "tiny-x2 (0.0 MB, license: CC-BY-4.0 by Jane Doe): downloading"
        f" {site.address}/tiny-x2.safetensors"
    )
    with Image.open("out.png") as image:
        assert image.size == (50, 40)
    assert call("-m", "photo", "-i", images / "a.png", "-o", "again.png") == 0
    assert "downloading" not in capsys.readouterr().err
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
    assert len(site.requests) == 1
    assert file.is_file()


@pytest.mark.parametrize("fault", ["bytes", "offline", "missing"])
def test_a_model_that_cannot_be_had_ends_with_exit_code_2(
    site: Site,
    call: Call,
    images: Path,
    file: Path,
    fault: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(site.answers) and Path("tiny.safetensors").stat().st_size
    site.add("/tiny-x2.safetensors", give(bytes(size)) if fault == "bytes" else status(404))
    if fault == "offline":
        monkeypatch.setenv("SR_OFFLINE", "1")
    assert call("-m", "tiny-x2", "-i", images / "a.png", "-o", "out.png") == 2
    error = capsys.readouterr().err
    wanted = {"bytes": "expected SHA-256 ", "offline": "SR_OFFLINE", "missing": "HTTP 404"}
    assert wanted[fault] in error
    assert f"save it as {file}" in error
    assert not file.exists()
    assert not Path("out.png").exists()


def test_a_hash_on_the_command_line_is_that_of_the_file(
    site: Site, call: Call, images: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-i", str(images / "a.png"), "-o", "out.png"]
    assert call("-m", model, "--sha256", "0" * 64, *options) == 2
    assert "expected SHA-256 0000" in capsys.readouterr().err
    assert call("--sha256", "0" * 64, *options) == 2
    assert "--sha256: needs -m" in capsys.readouterr().err
    assert call("-m", f"{site.address}/tiny-x2.safetensors", *options) == 2
    assert "expected --sha256" in capsys.readouterr().err
    (entry,) = json.loads(Path("list.json").read_text())["models"]
    url = entry["urls"][0]
    assert call("-m", url, "--sha256", entry["sha256"], *options) == 0
    assert Path("out.png").is_file()


def test_every_model_is_listed_with_purpose_license_and_size(
    site: Site, call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call("--list-models") == 0
    shown = capsys.readouterr().out
    bundled, _, available = shown.partition("To be downloaded, when -m names them:\n")
    assert "license Apache-2.0" in bundled
    assert available.startswith("tiny-x2 ")
    assert "CC-BY-4.0" in available
    assert "photos of tests; by Jane Doe" in available
    assert not site.requests
    assert run("get", "tiny-x2") == 0
    capsys.readouterr()
    assert call("--list-models") == 0
    assert "Downloaded:\ntiny-x2 " in capsys.readouterr().out


@pytest.mark.parametrize("flags", [("--list-models", "--json"), ("--json", "--list-models")])
def test_the_list_is_there_as_json(
    site: Site, call: Call, file: Path, flags: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("get", "tiny-x2") == 0
    capsys.readouterr()
    assert call(*flags) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["recommended"] == {"photo": ["tiny-x2"]}
    *bundled, last = read["models"]
    assert [each["name"] for each in bundled] == [each.name for each in BUNDLED]
    assert {each["license"] for each in bundled} == {"Apache-2.0"}
    assert last["state"] == "downloaded"
    assert last["file"] == str(file)
    assert last["author"] == "Jane Doe"
    assert last["urls"] == [f"{site.address}/tiny-x2.safetensors"]


def test_json_alone_is_refused(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--json") == 2
    assert "--json: needs --list-models" in capsys.readouterr().err


def test_models_are_found_had_located_verified_and_removed(
    site: Site, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def read() -> str:
        return capsys.readouterr().out

    assert run("search", "PHOTOS", "jane") == 0
    assert read().startswith("To be downloaded, when -m names them:\ntiny-x2 ")
    assert run("search", "no-such-word") == 0
    assert "No model has 'no-such-word'" in read()
    assert run("where") == 0
    assert read() == f"{file.parent}\n"
    assert run("where", "tiny-x2") == 0
    assert read() == f"{file}\n"
    assert run("where", "span_x4") == 0
    assert read() == f"{BUNDLED[0].file}\n"
    assert run("verify") == 0
    assert read() == "nothing is downloaded\n"
    assert run("get", "photo", "tiny_x2") == 0
    assert read() == f"{file}\n{file}\n"
    assert run("verify") == run("verify", "tiny-x2") == 0
    assert read() == "tiny-x2: correct\n" * 2
    assert run("remove", "tiny-x2") == 0
    assert read() == "tiny-x2: removed, 0.0 MB\n"
    assert run("remove", "tiny-x2") == 2
    assert capsys.readouterr().err == "error: tiny-x2: is not downloaded\n"


def test_sr_info_names_license_and_author_of_a_downloaded_model(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        describe(["tiny-x2"])
    assert stop.value.code == 0
    facts = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert facts["license"].strip() == "CC-BY-4.0"
    assert facts["author"].strip() == "Jane Doe"
    assert facts["downloaded from"].strip() == f"{site.address}/tiny-x2.safetensors"


def test_a_damaged_file_is_found_and_downloaded_again(
    site: Site, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("get", "tiny-x2") == 0
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert run("verify") == 2
    assert f"error: {file}: expected SHA-256 " in capsys.readouterr().err
    assert run("get", "tiny-x2") == 0
    assert "downloading again" in capsys.readouterr().err
    assert file.read_bytes() == whole


def test_files_of_the_hub_are_listed_verified_and_removed_too(
    site: Site, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.address)
    Hub(site).publish("jane/great", {"m.safetensors": model.read_bytes()})
    assert run("get", "hf:jane/great") == 0
    assert run("verify") == 0
    assert capsys.readouterr().out.endswith("hf:jane/great: correct\n")
    assert run("search", "jane/great") == 0
    assert capsys.readouterr().out.startswith("Downloaded:\nhf:jane/great ")
    assert run("remove", "hf:jane/great") == 0
    assert run("where", "hf:jane/great") == 2
    assert "hf:jane/great: is not downloaded" in capsys.readouterr().err


def test_a_dry_run_prints_what_would_be_uploaded(
    site: Site, clip_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["publish", clip_model, "--to", "hf:jane/clips", "--dry-run"]
    assert run(*arguments) == 2
    assert "expected one by --license" in capsys.readouterr().err
    assert run(*arguments, "--license", "MIT") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("would upload to hf:jane/clips:\n  README.md  ")
    assert "  rbpn.safetensors  " in shown
    assert "note: left out: rbpn.onnx: " in shown
    assert "  license: mit\n" in shown
    assert not site.requests


def test_a_branch_that_moved_is_had_again_and_stays_right(
    site: Site, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.address)
    hub = Hub(site)
    hub.publish("jane/great", {"m.pth": model.read_bytes()})
    assert run("get", "hf:jane/great") == 0
    hub.publish("jane/great", {"m.pth": b"another"})
    assert run("get", "hf:jane/great") == 0
    assert "downloading again" in capsys.readouterr().err
    monkeypatch.setenv("SR_OFFLINE", "1")
    assert run("get", "hf:jane/great") == 2  # asks the branch
    assert run("verify") == run("verify", "hf:jane/great/m.pth") == 0
    assert resolve_model("hf:jane/great").read_bytes() == b"another"


@pytest.mark.parametrize("name", ["span_x4", "clean"])
@pytest.mark.parametrize("command", ["remove", "verify"])
def test_a_bundled_model_is_not_a_download(
    site: Site, name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = json.loads(Path("list.json").read_text())["models"][0]
    write_catalogue(Path("list.json"), entry, clean=["span_x4"])
    assert run(command, name) == 2
    wanted = f"error: {name}: expected a downloaded model, got {BUNDLED[0].file}\n"
    assert capsys.readouterr().err == wanted
