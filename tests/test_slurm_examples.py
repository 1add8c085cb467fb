"""The scripts for Slurm, with programs in the place of srun, scontrol and python."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "examples" / "slurm").glob("*.sbatch"))
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs bash")

SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
if [[ $1 == show ]]; then printf "$HOSTS"; else echo "$@" >> "$CALLS"; exit "$REFUSED"; fi
"""
PYTHON = """#!/bin/bash
echo "$MASTER_ADDR ${RANK:-} ${LOCAL_RANK:-} ${WORLD_SIZE:-}" "$@" > "$CALLS.python"
trap 'sleep 0.2; echo saved >> "$CALLS.python"; exit "$SAVED"' USR1 TERM
touch "$CALLS.ready"
for _ in $(seq "$TENTHS"); do sleep 0.1; done
exit "$CODE"
"""


def start(script: Path, folder: Path, tenths: int, **more: str) -> "subprocess.Popen[bytes]":
    programs = folder / "programs"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    variables = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "SR_PYTHON": str(programs / "python"),
        "CALLS": str(folder / "calls"),
        "TENTHS": str(tenths),
        "CODE": "0",
        "SAVED": "130",
        "REFUSED": "0",
        "HOSTS": "one\\ntwo\\n",
        "MASTER_ADDR": "none",
        "SLURM_JOB_ID": "70123",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_PROCID": "5",
        "SLURM_LOCALID": "1",
        "SLURM_NTASKS": "8",
        **more,
    }
    return subprocess.Popen(
        ["bash", str(script), "a b", "c"], cwd=folder, env={**os.environ, **variables}
    )


def stop(job: "subprocess.Popen[bytes]", folder: Path) -> int:
    """Signal a job, as Slurm does before its limit; return its exit code."""
    deadline = time.monotonic() + 30
    while not (folder / "calls.ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    job.send_signal(signal.SIGUSR1)
    return job.wait(30)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_sound(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(script)], check=True)
    lines = script.read_text().splitlines()
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
    assert all(line.startswith("#") for line in lines[: directives[-1]])  # else Slurm reads none


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_job_before_its_limit_is_saved_and_put_into_the_queue_again(
    script: Path, tmp_path: Path
) -> None:
    with start(script, tmp_path, 300) as job:
        assert stop(job, tmp_path) == 0
    assert (tmp_path / "calls").read_text() == "requeue 70123\n"
    given, saved = (tmp_path / "calls.python").read_text().splitlines()
    assert saved == "saved"
    if script.stem == "train":
        assert given == "one 5 1 8 train.py -opt a b c"
    else:
        logs = "--log logs/3.jsonl"
        assert given.endswith(f"infer.py -i a b -o c --shard auto --resume {logs}")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_job_that_ends_by_itself_keeps_its_exit_code(script: Path, tmp_path: Path) -> None:
    with start(script, tmp_path, 0, CODE="3") as job:
        assert job.wait(30) == 3
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_job_that_is_not_put_into_the_queue_again_is_no_success(
    script: Path, tmp_path: Path
) -> None:
    with start(script, tmp_path, 300, REFUSED="1") as job:
        assert stop(job, tmp_path) == 130


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_job_that_is_done_at_the_signal_is_not_begun_again(script: Path, tmp_path: Path) -> None:
    with start(script, tmp_path, 300, SAVED="0") as job:
        assert stop(job, tmp_path) == 0
    assert not (tmp_path / "calls").exists()


def test_a_training_without_the_names_of_its_machines_does_not_wait_for_them(
    tmp_path: Path,
) -> None:
    with start(
        next(path for path in SCRIPTS if path.stem == "train"), tmp_path, 0, HOSTS=""
    ) as job:
        assert job.wait(30) != 0
    assert not (tmp_path / "calls.ready").exists()
