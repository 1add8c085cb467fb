"""Runs of training, and what they left in their folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sr.options.schema import Options
from sr.training import run
from sr.training.checkpoint import model_path, read_state, state_path
from sr.training.run import CatchInterruption


def run_folder(options: Options) -> Path:
    return options.log.folder / options.name


def find_model(options: Options, step: int) -> Path:
    return model_path(run_folder(options) / "checkpoints", step)


def load_state(options: Options, step: int) -> dict[str, Any]:
    return read_state(state_path(run_folder(options) / "checkpoints", step))


def read_events(options: Options, **fields: object) -> list[dict[str, Any]]:
    """Events of the log that have these fields."""
    lines = (run_folder(options) / "log.jsonl").read_text().splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [event for event in events if fields.items() <= event.items()]


def read_progress(options: Options) -> list[dict[str, Any]]:
    return read_events(options, event="progress")


def assert_equal(first: Any, second: Any, path: str = "") -> None:
    """Equal to the bit, through dicts and lists."""
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_equal(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_equal(one, other, f"{path}/{index}")
    else:
        assert first == second, path


def assert_a_resumed_run_equals_an_unbroken_one(
    make_options: Callable[..., Options], *overrides: str, interruption: CatchInterruption
) -> None:
    """Runs with these overrides have the same last state, to the bit."""
    whole = make_options("name=whole", *overrides)
    assert run.train(whole)
    halves = make_options("name=halves", *overrides)
    assert not run.train(halves, catch_interruption=interruption)
    torch.manual_seed(123)  # whatever the process did meanwhile must not matter
    assert run.train(halves)
    first, second = (load_state(options, whole.train.steps) for options in (whole, halves))
    del first["options"], second["options"]
    assert_equal(first, second)
