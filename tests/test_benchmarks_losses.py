"""The ablation of the losses runs through, at a tiny size, and goes on where it was."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sr.io.rgb8 import write_rgb8

TINY = (
    "generator={type: Compact, num_features: 4, num_convs: 1}",
    "datasets.train.batch_size=2",
    "datasets.train.crop_size=32",
    "datasets.train.num_workers=0",
    "train.device=cpu",
    "train.precision=fp32",
)


@pytest.fixture
def ablation(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import loss_ablation

    return loss_ablation


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    hr = tmp_path / "sets" / "Set5" / "HR"
    hr.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        write_rgb8(hr / name, rng.integers(0, 256, (64, 80, 3), dtype=np.uint8))
    return tmp_path / "sets"


def test_the_table_has_a_line_for_each_case_and_done_runs_are_only_read(
    ablation: ModuleType,
    sets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, train = str(sets), str(sets / "Set5" / "HR")
    output = tmp_path / "out"

    def run(*cases: str) -> None:
        ablation.main(
            [folder, "--train", train, "--only", *cases, "-o", str(output), "--steps=2", *TINY]
        )

    run("l1", "color", "dists")
    assert "dists: left out, needs --vgg16" in capsys.readouterr().out
    text = (output / "loss_ablation.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0].removeprefix("| ") for row in rows] == ["loss", "---", "l1", "color"]
    assert rows[2][1] == "l1 1"
    assert rows[3][1] == "l1 1 + color 0.6"
    assert all("(" not in cell for cell in rows[2])
    assert all("(" in cell for cell in rows[3][3:])

    states = {path: path.stat().st_mtime_ns for path in output.glob("*/checkpoints/*.state")}
    assert len(states) == 2
    run("color")
    for path, time in states.items():
        assert path.stat().st_mtime_ns == time
    assert "| l1 |" not in (output / "loss_ablation.md").read_text()


def test_every_case_is_options_that_load(ablation: ModuleType, sets: Path, tmp_path: Path) -> None:
    from sr.options.load import load_options

    given = ablation.parse_arguments(
        [str(sets), "--train", "x", "-o", str(tmp_path), "--vgg16", "random"]
    )[0]
    for case in ablation.CASES:
        options = load_options(ablation.OPTION_FILE, ablation.list_overrides(given, case))
        assert options.name == f"{case}_1000"
        assert options.seed == 0
        assert case == "l1" or len(options.losses.terms) > 1 or case == "ms_ssim_l1"
