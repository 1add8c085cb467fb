"""The harness itself, and some damaged inputs of every format; `make fuzz` has more."""

import os
import sys
from pathlib import Path
from random import Random

import pytest

from fuzz import run, targets
from fuzz.mutate import mutate
from fuzz.seeds import FORMATS
from sr.errors import UserError

pytestmark = pytest.mark.usefixtures("warm_processes")
NUM_INPUTS = 3 * len(FORMATS)  # `make fuzz` has more


@pytest.fixture
def warm_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What forks processes finds what it is to import before, as in `make fuzz`."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.mark.parametrize("name", FORMATS)
def test_undamaged_files_are_read(name: str, tmp_path: Path) -> None:
    seeds = FORMATS[name]
    for content in seeds.make():
        path = tmp_path / f"input{seeds.suffix}"
        path.write_bytes(content)
        assert targets.judge(seeds.kind, path) == (targets.OK, "")


@pytest.mark.slow
def test_damaged_files_cost_a_clear_error_at_most(tmp_path: Path) -> None:
    counts = run.run_fuzz(NUM_INPUTS, folder=tmp_path)
    assert counts.total() == NUM_INPUTS
    failed = [f"{path.name}: {path.read_text()}" for path in tmp_path.glob("*.txt")]
    assert not failed


def test_an_input_can_be_made_again() -> None:
    seeds = FORMATS["png"].make()
    first, again = (run.make_input("png", 7, 0, seeds) for _ in range(2))
    others = {run.make_input("png", number, 0, seeds) for number in range(8)}
    assert first == again
    assert len(others) == 8


@pytest.mark.parametrize("suffix", sorted({each.suffix for each in FORMATS.values()}))
def test_anything_can_be_damaged(suffix: str) -> None:
    for content in (b"", b"a", b"\0" * 20, b"\xff" * 20, Random(0).randbytes(300)):
        for number in range(30):
            mutate(content, suffix, Random(number), b"other word")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UserError("input.png: broken"), targets.CLEAR),
        (UserError("broken"), targets.WRONG),
        (KeyError("input.png"), targets.WRONG),
        (None, targets.OK),
    ],
)
def test_errors_are_judged(
    error: Exception | None, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Path) -> None:
        if error is not None:
            raise error

    monkeypatch.setitem(targets._TARGETS, "image", read)
    assert targets.judge("image", tmp_path / "input.png")[0] == outcome


def misbehave(kind: str, path: Path) -> tuple[str, str]:
    """As `targets.judge`, in the other process."""
    match path.read_text():
        case "hang":
            while True:
                pass
        case "memory":
            _held = b"x" * 2**26 + b"x"
            while True:
                pass
        case "crash":
            os.abort()
    return "ok", ""


@pytest.mark.slow
def test_crashes_hangs_and_memory_cost_one_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CPU_SECONDS", 0.5)
    monkeypatch.setattr(run, "MAX_GIB", 0.03)
    with run.Worker(tmp_path, misbehave) as worker:
        outcomes = [
            worker.judge("png", kind.encode())[0]
            for kind in ("fine", "hang", "fine", "crash", "memory", "fine")
        ]
    assert outcomes == ["ok", "hang", "ok", "crash", "memory", "ok"]
