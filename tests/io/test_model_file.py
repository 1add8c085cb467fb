import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sr.errors import ModelFileError
from sr.io.model_file import read_model_file, write_model_file

WEIGHTS = {
    "body.weight": torch.arange(12.0).reshape(3, 4),
    "body.bias": torch.tensor([0.1, -1e-30, 3e38]),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
}
METADATA: dict[str, Any] = {
    "generator": {"type": "Compact", "num_convs": 16},
    "scale": 4,
    "step": 1000,
    "ema": True,
    "training_data": "Vögel",
    "options": {"train": {"betas": [0.9, 0.99], "clip_norm": None}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write_model_file(path, WEIGHTS, METADATA)
    return path


def test_weights_and_metadata_come_back_as_they_were(file: Path) -> None:
    read = read_model_file(file)
    assert read.metadata == {"format": "sr-model-1", **METADATA}
    assert read.state_dict.keys() == WEIGHTS.keys()
    for name, tensor in read.state_dict.items():
        assert tensor.dtype == WEIGHTS[name].dtype
        assert torch.equal(tensor, WEIGHTS[name])


def test_weights_in_any_memory_layout_and_with_a_gradient_are_written(tmp_path: Path) -> None:
    weight = torch.rand(4, 3, 5, 5)
    state = {
        "last": weight.to(memory_format=torch.channels_last),
        "view": weight.transpose(0, 3),
        "parameter": torch.nn.Parameter(weight + 1),
    }
    write_model_file(tmp_path / "a.safetensors", state, {})
    read = read_model_file(tmp_path / "a.safetensors").state_dict
    for name, tensor in state.items():
        assert torch.equal(read[name], tensor)


def test_only_the_file_itself_is_left_in_the_folder(file: Path) -> None:
    assert list(file.parent.iterdir()) == [file]


def test_a_second_write_replaces_the_first(file: Path) -> None:
    write_model_file(file, {"a": torch.ones(1)}, {"step": 2})
    read = read_model_file(file)
    assert read.metadata["step"] == 2
    assert list(read.state_dict) == ["a"]


def test_a_failing_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_model_file(tmp_path / "model.safetensors", WEIGHTS, METADATA)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_keeps_the_old_file(file: Path) -> None:
    shared = torch.ones(4)
    with pytest.raises(RuntimeError):  # safetensors refuses tensors in the same memory
        write_model_file(file, {"a": shared, "b": shared}, {})
    with pytest.raises(TypeError):
        write_model_file(file, WEIGHTS, {"not for JSON": object()})
    assert list(file.parent.iterdir()) == [file]
    assert read_model_file(file).metadata["step"] == 1000


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.safetensors", tmp_path):
        with pytest.raises(ModelFileError, match="no such model file") as caught:
            read_model_file(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x", b"name: Compact\nscale: 4\n" * 20])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"text\.safetensors: expected a safetensors file"):
        read_model_file(path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(file: Path, kept: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ModelFileError, match="expected a safetensors file"):
        read_model_file(file)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_safetensors_file_of_other_origin_is_refused(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file(WEIGHTS, path, metadata=metadata)
    with pytest.raises(ModelFileError, match=r"expected the metadata that train\.py writes"):
        read_model_file(path)


def test_a_model_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "future.safetensors"
    save_file(WEIGHTS, path, metadata={"sr": '{"format": "sr-model-2"}'})
    with pytest.raises(ModelFileError, match="expected format sr-model-1, got 'sr-model-2'"):
        read_model_file(path)


@pytest.mark.parametrize("header", ["{", "[]", "3", "null"])
def test_metadata_that_are_no_json_object_are_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(WEIGHTS, path, metadata={"sr": header})
    with pytest.raises(ModelFileError, match=r"odd\.safetensors: .*metadata"):
        read_model_file(path)


def test_pickled_weights_of_another_project_are_refused(shared_data: Path) -> None:
    with pytest.raises(ModelFileError, match=r"IMDN_x4\.pth: expected a safetensors file"):
        read_model_file(shared_data / "weights" / "IMDN_x4.pth")
