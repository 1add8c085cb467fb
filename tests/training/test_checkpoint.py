from pathlib import Path

import pytest
import torch

from sr.training.checkpoint import (
    CheckpointError,
    find_latest_state,
    model_path,
    prune,
    read_state,
    state_path,
    write_state,
)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = state_path(tmp_path, 7)
    write_state(path, {"step": 7, "weights": {"w": torch.arange(3)}})
    state = read_state(path)
    assert state["step"] == 7
    assert torch.equal(state["weights"]["w"], torch.arange(3))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = state_path(tmp_path, 7)
    write_state(path, {"step": 7})
    with pytest.raises(Exception, match="pickle"):
        write_state(path, {"step": lambda: 8})
    assert list(tmp_path.iterdir()) == [path]
    assert read_state(path)["step"] == 7


def test_the_find_latest_state_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    assert find_latest_state(tmp_path) is None
    for step in (9, 100, 20):
        write_state(state_path(tmp_path, step), {"step": step})
    assert find_latest_state(tmp_path) == state_path(tmp_path, 100)


def test_pruning_keeps_the_last_and_the_best(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write_state(state_path(tmp_path, step), {"step": step})
        model_path(tmp_path, step).touch()
    (tmp_path / "best.safetensors").touch()
    prune(tmp_path, keep_last=1)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"step_000000003.state", "step_000000003.safetensors", "best.safetensors"}


@pytest.mark.parametrize("content", [b"", b"no state at all", b"PK\x03\x04 truncated"])
def test_a_broken_state_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.state"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"broken\.state: expected a \.state file"):
        read_state(path)


def test_a_missing_state_and_another_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such state file"):
        read_state(tmp_path / "none.state")
    torch.save({"format": "other"}, tmp_path / "other.state")
    with pytest.raises(CheckpointError, match="sr-state-2"):
        read_state(tmp_path / "other.state")
