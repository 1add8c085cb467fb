"""Weights of any origin, and what must never be loaded."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sr.errors import ModelFileError
from sr.io.weights_file import read_weights

WEIGHTS = {"a.weight": torch.rand(2, 3), "a.bias": torch.rand(2)}


def assert_reads(path: Path) -> None:
    read = read_weights(path)
    assert list(read) == list(WEIGHTS)
    for name, tensor in read.items():
        assert torch.equal(tensor, WEIGHTS[name])


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in WEIGHTS.items()}


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"params": WEIGHTS},
        {"params": {"a.weight": torch.zeros(1)}, "params_ema": WEIGHTS},
        {"epoch": 3, "state_dict": prefixed("module.")},
        {"model": {"params": prefixed("module._orig_mod.")}},
        {"state_dict": {**WEIGHTS, "version": "1"}},
        {"epoch": 1, "loss": torch.tensor(0.5), "model_state_dict": WEIGHTS},
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".pt", ".PTH"])
def test_wrappers_and_prefixes_are_taken_off(content: Any, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save(content, path)
    assert_reads(path)


def test_a_prefix_that_only_some_have_stays(tmp_path: Path) -> None:
    weights = {"module.a": torch.rand(1), "b": torch.rand(1)}
    torch.save(weights, tmp_path / "a.pth")
    assert set(read_weights(tmp_path / "a.pth")) == set(weights)


@pytest.mark.parametrize("name", ["a.safetensors", "renamed.pth"])
def test_safetensors_are_known_by_content(name: str, tmp_path: Path) -> None:
    save_file(dict(sorted(WEIGHTS.items(), reverse=True)), tmp_path / name)
    read = read_weights(tmp_path / name)
    assert set(read) == set(WEIGHTS)


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_refused_and_does_not_run(legacy: bool, tmp_path: Path) -> None:
    marker, path = tmp_path / "it-ran", tmp_path / "evil.pth"
    content = {"params": WEIGHTS, "extra": Malicious(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelFileError, match=r"evil\.pth: expected weights only.*could run code"):
        read_weights(path)
    assert not marker.exists()


def test_a_plain_pickle_with_code_is_refused(tmp_path: Path) -> None:
    marker, path = tmp_path / "it-ran", tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps(Malicious(marker), protocol=2))
    with pytest.raises(ModelFileError, match=r"evil\.ckpt"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_truncated_file_is_refused(name: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / name
    weights = {"a": torch.rand(100, 100)}
    if path.suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ModelFileError, match=rf"{path.stem}\."):
        read_weights(path)


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("program/code/__torch__.py", "a program")
    with pytest.raises(ModelFileError, match="TorchScript program"):
        read_weights(tmp_path / "program.pt")


def test_a_dictionary_that_holds_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["params"] = content
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ModelFileError, match="expected tensors by name"):
        read_weights(tmp_path / "odd.pth")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    torch.save(WEIGHTS, path)
    damaged = bytearray(path.read_bytes())
    place = damaged.rindex(b"PK\x01\x02")  # the last entry of its directory
    damaged[place : place + 4] = b"0000"
    path.write_bytes(damaged)
    with pytest.raises(ModelFileError, match=r"odd\.pth: "):
        read_weights(path)


@pytest.mark.parametrize("content", [{"step": 3}, [torch.rand(1)], {}, 7, {"params": {}}])
def test_what_is_no_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ModelFileError, match=r"odd\.pth: expected tensors by name"):
        read_weights(tmp_path / "odd.pth")


def test_missing_files_folders_and_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such model file"):
        read_weights(tmp_path / "none.pth")
    with pytest.raises(ModelFileError, match="no such model file"):
        read_weights(tmp_path)
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(ModelFileError, match=r"expected a model file \(\.safetensors, .*got \.txt"):
        read_weights(tmp_path / "notes.txt")
