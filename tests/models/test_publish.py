"""Publishing: what is uploaded is what programs read, and the page says what the hub needs."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.hub_site import Hub
from helpers.web_server import run_site, status

from sr.errors import UsageError, UserError
from sr.models.bundled import WEIGHTS
from sr.models.convert import convert_model
from sr.models.hub_card import Metric, read_metrics
from sr.models.load import load_generator
from sr.models.publish import parse_target, prepare_publication, upload_publication
from sr.models.remote_file import RemoteFile

REPOSITORY = "jane/tiny"
WEIGHTS_ONLY = (".safetensors", ".pth")  # a program takes seconds to make
CARD = """# tiny
Upscales by 2 ([more](../docs/more.md), [paper](https://example.com)).

![curves](curves.png)

| x2: PSNR dB / SSIM / LPIPS | bicubic | tiny |
|---|---|---|
| Set5 | 33.67 / 0.9303 / 0.1281 | **37.26** / 0.9579 / 0.0564 |
| Set14, Y | 30.32 / 0.8698 / 0.1872 | 32.97 / - / 0.1 |
| seconds | 0.1 | 0.2 |

| step | tiny |
|---|---|
| 500 | 12 |
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv("SR_OFFLINE", raising=False)
    # Chunks of the hub's storage are beyond this server: plain HTTP, which the client has too.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with run_site() as site:
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        yield Hub(site)


def read_header(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return parsed


def test_the_page_has_the_hubs_header_and_the_cards_text(model: Path, tmp_path: Path) -> None:
    model.with_suffix(".md").write_text(CARD)
    out = tmp_path / "out"
    out.mkdir()
    done = prepare_publication(
        model, out, REPOSITORY, license_name="CC-BY-4.0", suffixes=WEIGHTS_ONLY
    )
    assert [file.name for file in done.files][:2] == ["README.md", "tiny.safetensors"]
    text = done.files[0].read_text()
    header = read_header(text)
    assert header["license"] == "cc-by-4.0"
    assert header["pipeline_tag"] == "image-to-image"
    assert {"super-resolution", "x2", "compact"} <= set(header["tags"])
    assert "Upscales by 2 (more, [paper](https://example.com))." in text
    assert "curves.png" not in text
    assert "infer.py -m hf:jane/tiny -i photo.jpg -o photo_x2.png" in text
    found = read_metrics(model, "tiny", load_generator(model))
    assert found == [
        Metric("Set5", "psnr", 37.26),
        Metric("Set5", "ssim", 0.9579),
        Metric("Set5", "lpips", 0.0564),
        Metric("Set14, Y", "psnr", 32.97),
        Metric("Set14, Y", "lpips", 0.1),
    ]
    (index,) = header["model-index"]
    assert len(index["results"]) == 2
    assert index["results"][0]["metrics"][0] == {"type": "psnr", "value": 37.26, "name": "PSNR"}


def test_scores_of_a_bundled_model_are_those_of_its_card() -> None:
    file = WEIGHTS / "span_x4.safetensors"
    found = {
        (each.dataset, each.kind): each.value
        for each in read_metrics(file, "span_x4", load_generator(file))
    }
    assert found["Set5", "psnr"] == 31.75
    assert found["BSD100", "ssim"] == 0.7296


def test_scores_of_a_run_are_those_of_its_log_at_the_models_step(
    model: Path, tmp_path: Path
) -> None:
    loaded = load_generator(model)
    generator = replace(loaded, metadata={**loaded.metadata, "step": 200})
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    events = [
        {"item": "validation", "step": step, "scores": {"set": {"psnr_y": value, "ssim_y": 0.5}}}
        for step, value in ((100, 20.0), (200, 21.987), (300, 22.0))
    ]
    log = tmp_path / "run" / "log.jsonl"
    log.write_text("\n".join(["not JSON", *map(json.dumps, events), ""]))
    found = read_metrics(checkpoints / "best.safetensors", "best", generator)
    assert found == [Metric("set", "psnr", 21.99), Metric("set", "ssim", 0.5)]


def test_every_format_is_the_same_model_and_those_left_out_are_named(
    model: Path, clip_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(source: Path, target: Path) -> None:
        if target.suffix == ".onnx" and source == model:
            target.write_bytes(b"a program, which takes seconds to make")
        else:
            convert_model(source, target)

    monkeypatch.setattr("sr.models.publish.convert_model", convert)
    out = tmp_path / "out"
    out.mkdir()
    done = prepare_publication(model, out, REPOSITORY, license_name="MIT")
    suffixes = [".safetensors", ".pth", ".onnx"]
    assert [file.suffix for file in done.files[1:]] == suffixes
    assert not done.notes
    assert "onnx" in read_header(done.files[0].read_text())["tags"]
    weights = load_generator(model).network.state_dict()
    for file in done.files[1:3]:
        loaded = load_generator(file).network.state_dict()
        assert all(torch.equal(loaded[name], weights[name]) for name in weights)
    clips = tmp_path / "clips"
    clips.mkdir()
    done = prepare_publication(clip_model, clips, REPOSITORY, license_name="MIT")
    assert [file.name for file in done.files] == ["README.md", "rbpn.safetensors"]
    assert [note.partition(": rbpn.")[0] for note in done.notes] == ["left out"] * 2
    assert read_header(done.files[0].read_text())["pipeline_tag"] == "video-to-video"


def test_a_model_without_a_license_is_not_published(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="states no license; expected one by --license"):
        prepare_publication(model, tmp_path, REPOSITORY)


def test_the_author_of_a_downloaded_model_gets_the_credit(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://example.com/tiny.pth"
    remote = RemoteFile("tiny", (url,), "0" * 64, None, "CC-BY-4.0", "Jane Roe", model)
    monkeypatch.setattr("sr.models.publish.find_source", {model: remote}.get)
    out = tmp_path / "out"
    out.mkdir()
    text = prepare_publication(model, out, REPOSITORY, suffixes=(".pth",)).files[0].read_text()
    assert read_header(text)["license"] == "cc-by-4.0"
    assert f"Weights by Jane Roe, license: CC-BY-4.0, from {url}" in text


@pytest.mark.parametrize(
    "text", ["jane/tiny", "hf:jane", "hf:jane/tiny/m.pth", "hf:jane/tiny@main"]
)
def test_a_target_is_a_repository(text: str) -> None:
    with pytest.raises(UsageError, match="expected hf:OWNER/REPOSITORY"):
        parse_target(text)
    assert parse_target("hf:jane/tiny") == REPOSITORY


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the hub's client
def test_the_hubs_own_client_uploads_every_file_whole(
    hub: Hub, model: Path, tmp_path: Path
) -> None:
    hub.accept(REPOSITORY)
    out = tmp_path / "out"
    out.mkdir()
    done = prepare_publication(model, out, REPOSITORY, license_name="MIT", suffixes=WEIGHTS_ONLY)
    assert upload_publication(done, private=True) == f"{hub.site.address}/{REPOSITORY}"
    assert hub.committed == {file.name: file.read_bytes() for file in done.files}
    assert hub.created[0]["organization"] == "jane"
    assert hub.created[0]["name"] == "tiny"


def test_a_hub_that_refuses_is_reported(
    hub: Hub, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = prepare_publication(model, out, REPOSITORY, license_name="MIT", suffixes=WEIGHTS_ONLY)
    hub.site.add("/api/repos/create", status(401))
    with pytest.raises(UserError, match=r"^hf:jane/tiny: http.*: log in by `hf auth login`"):
        upload_publication(done)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"127.0.0.1:9 cannot be reached"):
        upload_publication(done)
    monkeypatch.setenv("SR_OFFLINE", "1")
    with pytest.raises(UserError, match="SR_OFFLINE forbids the network"):
        upload_publication(done)
