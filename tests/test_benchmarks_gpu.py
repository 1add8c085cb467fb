"""What is run on a GPU: one part that fails does not lose the others, and it is known to run."""

import importlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

CPU = torch.device("cpu")


@pytest.fixture
def gpu(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module("gpu")


@pytest.fixture
def gpu_parts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module("gpu_parts")


def test_without_a_gpu_it_says_so_in_a_line(
    gpu: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "gpu.py: expected a CUDA GPU that torch can use, got none\n"
    assert not (tmp_path / "out").exists()


def test_unknown_parts_are_refused(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cpu", "--parts", "tests", "trains"])
    assert "expected tests, video, networks, " in capsys.readouterr().err


def test_a_part_that_fails_or_hangs_costs_its_own_numbers_only(
    gpu: ModuleType, tmp_path: Path
) -> None:
    hanging = "print('| 2 |', flush=True); import subprocess; subprocess.run(['sleep', '60'])"
    parts = [
        gpu.Part("one", 20, [("-c", "print('a line')"), ("-c", "print('| 1 |')")]),
        gpu.Part("two", 20, [("-c", "raise SystemExit(7)"), ("-c", "print('and on')")]),
        gpu.Part("three", 1, [("-c", hanging)]),
        gpu.Part("four", 20, [("-c", "import os; print(os.environ['IT'])")], {"IT": "it"}),
    ]
    started = time.monotonic()
    assert gpu.run_parts(parts, tmp_path / "gpu.md", "# Head") == 1
    assert time.monotonic() - started < 30
    report = re.sub(r", \d+ s$", "", (tmp_path / "gpu.md").read_text(), flags=re.MULTILINE)
    assert " ".join(report.split()) == (
        "# Head ## one: fine ``` a line ``` | 1 | ## two: failed with exit code 7 ``` and on ``` "
        "## three: stopped after 1 s | 2 | ## four: fine ``` it ```"
    )


def test_all_limits_together_are_less_than_six_minutes(gpu: ModuleType) -> None:
    for device in ("cuda", "cpu"):
        parts = gpu.list_parts(device)
        assert gpu.SECONDS < 360
        assert sum(part.seconds for part in parts) <= gpu.SECONDS
        files = [word for part in parts for each in part.commands for word in each]
        scripts = {word for word in files if word.endswith((".py", ".yml"))}
        assert "tests/gpu/test_memory_on_gpu.py" in scripts
        assert all((gpu.ROOT / script).is_file() for script in scripts)


def test_ways_to_launch_a_network_are_timed_and_one_that_fails_says_why(
    gpu_parts: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> Callable[..., Any]:
        raise RuntimeError("no\ncompiler")

    monkeypatch.setattr(torch, "compile", refuse)
    gpu_parts.time_launches(CPU)
    lines = capsys.readouterr().out.split("\n")
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert [row[4] for row in rows[2:5]] == ["eager", "weights cast before", "torch.compile"]
    assert float(rows[3][6]) > 0
    assert rows[4][8] == "RuntimeError: no compiler"


def test_the_clip_of_a_size_is_as_long_as_asked_for(gpu_parts: ModuleType, tmp_path: Path) -> None:
    gpu_parts.write_clip(tmp_path / "clip.mp4", 32, 24, 70)
    assert gpu_parts._find_size(tmp_path / "clip.mp4") == "32x24"
