"""What a user calls a model: paths, names, purposes, folders of one's own, and hashes."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.web_server import Site, give, run_site

from sr.errors import ModelFileError, UserError
from sr.models.bundled import BUNDLED, WEIGHTS, choose_default_model
from sr.models.catalogue import list_recommended
from sr.models.find_model import find_remote, list_own, resolve_model
from sr.models.remote_file import list_recorded

NAMES = [bundled.name for bundled in BUNDLED]
CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads; nothing can be downloaded but by a test's own server."""
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SR_MODELS", raising=False)
    monkeypatch.delenv("SR_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as site:
        yield site


@pytest.mark.parametrize("name", NAMES)
def test_names_are_found_with_and_without_the_suffix(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = WEIGHTS / f"{name}.safetensors"
    assert resolve_model(name) == resolve_model(Path(name)) == file
    assert resolve_model(f"{name}.safetensors") == file


def test_a_path_is_taken_as_it_is(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    assert resolve_model(model) == resolve_model(str(model)) == model
    assert resolve_model(f"./{model.name}") == Path(model.name)
    assert resolve_model(choose_default_model()) == choose_default_model()


def test_a_file_goes_before_a_name_and_a_folder_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compact_x4").mkdir()
    Path("rbpn_small_x4").touch()
    assert resolve_model("compact_x4") == WEIGHTS / "compact_x4.safetensors"
    assert resolve_model("rbpn_small_x4") == Path("rbpn_small_x4")
    assert resolve_model("rbpn_small_x4.safetensors").parent == WEIGHTS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("./span_x4", r"^\./span_x4: no such model file, did you mean span_x4\?"),
        ("other/span_x4.safetensors", r"no such model file, did you mean span_x4\?"),
        ("Span-X4", r"did you mean span_x4\?"),
        ("compct_x2.pth", r"did you mean compact_x2( or \w+)?\?"),
        ("rbpn", r"did you mean rbpn_small_x4\?"),
        ("RealESRGAN_x4plus.pth", r"no such model file, did you mean realesrgan-x4plus\?"),
        ("photos", r"did you mean photo\?"),
        ("IMDN_x4.pth", r"no such model file\. Bundled models: span_x4, compact_x4, "),
        ("", r"^'': a folder; expected a model file\. Bundled models: "),
        (".", r"^\.: a folder; expected a model file"),
        ("span_x4/", r"^span_x4/: no such model file, did you mean span_x4\?"),
        ("x" * 300, r"^x+: no such model file"),
        ("a\0b", "no such model file"),
    ],
)
def test_other_names_are_refused_with_what_there_is(
    given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match=message):
        resolve_model(given)


@pytest.mark.parametrize(
    ("use", "name"),
    [("photo", "compact_real_x4"), ("text", "span_x4"), ("fast", "compact_tiny_x4")],
)
def test_a_purpose_is_the_best_bundled_model_for_it(
    use: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_model(use) == WEIGHTS / f"{name}.safetensors"


def test_a_purpose_without_a_bundled_model_is_the_best_of_the_catalogue() -> None:
    best = list_recommended()["anime"][0]
    assert find_remote("anime") == find_remote(best)
    assert find_remote(best.upper().replace("-", "_")).name == best


def test_a_model_of_a_folder_of_ones_own_goes_before_a_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "none"]
    for folder in folders[:2]:
        folder.mkdir()
    for name in ("a/mine.pth", "a/mine.safetensors", "b/mine.pth", "b/span_x4.onnx", "b/notes.txt"):
        (tmp_path / name).touch()
    monkeypatch.setenv("SR_MODELS", os.pathsep.join(["", *map(str, folders)]))
    assert resolve_model("mine") == tmp_path / "a/mine.safetensors"
    assert resolve_model("span_x4") == tmp_path / "b/span_x4.onnx"
    assert list(list_own()) == [
        ("mine", tmp_path / "a/mine.safetensors"),
        ("span_x4", tmp_path / "b/span_x4.onnx"),
    ]
    with pytest.raises(ModelFileError, match="notes: no such model file"):
        resolve_model("notes")


def test_a_file_has_the_hash_that_is_asked_for_or_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.pth"
    file.write_bytes(CONTENT)
    assert resolve_model(file, SHA256.upper()) == file
    with pytest.raises(ModelFileError, match=rf"m.pth: expected SHA-256 0+, got {SHA256}; not op"):
        resolve_model(file, "0" * 64)
    with pytest.raises(ModelFileError, match="64 hexadecimal digits, got abc"):
        resolve_model(file, "abc")
    file.write_bytes(b"changed")
    with pytest.raises(ModelFileError, match=f"expected SHA-256 {SHA256}, got "):
        resolve_model(file, SHA256)


def test_an_address_needs_a_hash_and_is_asked_once(
    site: Site, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = site.add("/some/My%20model.pth", give(CONTENT))
    with pytest.raises(ModelFileError, match="expected --sha256 with the file's SHA-256"):
        resolve_model(url)
    assert not site.requests
    file = resolve_model(url, SHA256)
    assert file == cache / "models" / "urls" / SHA256[:16] / "My_model.pth"
    assert file.read_bytes() == CONTENT
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"{url} (unknown size, license: not stated): downloading {url}\n"
    assert resolve_model(url, SHA256) == file
    assert len(site.requests) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/m.pth", "https://example.com/m.zip", "https://example.com/"),
        *("https://example.com:no/m.pth", "https://example.com:99999/m.pth"),
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"expected (https://|a name that ends in)"):
        resolve_model(url, SHA256)


@pytest.mark.parametrize(
    ("name", "kept"), [("nul.pth", "_nul.pth"), ("COM1.onnx", "_COM1.onnx"), ("con2.pt", "con2.pt")]
)
def test_a_file_has_no_name_that_windows_keeps_for_devices(
    name: str, kept: str, cache: Path
) -> None:
    assert find_remote(f"https://example.com/{name}", SHA256).file.name == kept


def test_a_password_in_an_address_is_refused_and_not_repeated(cache: Path) -> None:
    with pytest.raises(UserError, match="without a user's name and password") as error:
        resolve_model("https://jane:secret@example.com/m.pth", SHA256)
    assert "secret" not in str(error.value)
    assert not cache.exists()


def test_an_address_may_be_written_as_it_is_read(site: Site, cache: Path) -> None:
    site.add("/my%20m%C3%B6del.pth", give(CONTENT))
    url = f"{site.address}/my m\N{LATIN SMALL LETTER O WITH DIAERESIS}del.pth"
    assert resolve_model(url, SHA256).name == "my_m_del.pth"


def test_a_file_of_an_address_is_not_hidden_and_can_be_had_again(site: Site) -> None:
    url = site.add("/..pth", give(CONTENT))
    file = resolve_model(url, SHA256)
    assert file.name == "_.pth"
    file.write_bytes(b"damaged")
    with pytest.raises(ModelFileError, match=rf"`sr-models get {url} --sha256 {SHA256}` downloads"):
        resolve_model(url, SHA256)


def test_folders_that_cannot_be_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_MODELS", os.pathsep.join(["~nobody-of-that-name", "x" * 300]))
    monkeypatch.setenv("SR_CACHE", "~nobody-of-that-name")
    assert resolve_model("span_x4") == BUNDLED[0].file
    assert list(list_own()) == []
    assert list_recorded() == []
    monkeypatch.setenv("SR_CACHE", "x" * 300)
    assert list_recorded() == []
    assert find_remote("anime").is_here is False
