"""Give damaged inputs of every format to the program, and count what comes of them.

Processes import once and take many inputs; a watchdog ends those that crash, hang or take memory,
which costs that input only. An input is made from the seed, its format and its number alone, so
every failure can be made again; those that failed are saved with what was said.
"""

import argparse
import ctypes
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import psutil
import typer

from fuzz import targets
from fuzz.mutate import mutate
from fuzz.seeds import FORMATS

CPU_SECONDS = 20  # of one input; a machine that is busy does not make it a hang
MAX_GIB = 2  # more than before the input
INPUTS_PER_PROCESS = 1000
OUTCOMES = ("ok", "clear error", "mismatch", "wrong error", "hang", "memory", "crash")
GOOD = OUTCOMES[:3]

Judge = Callable[[str, Path], tuple[str, str]]


def make_input(format_name: str, number: int, seed: int, seeds: Sequence[bytes]) -> bytes:
    """Return the damaged file of a format and number."""
    random = Random(f"{seed} {format_name} {number}")
    content, other = random.choice(seeds), random.choice(seeds)
    return mutate(content, FORMATS[format_name].suffix, random, other)


def run_fuzz(
    total: int,
    *,
    formats: Sequence[str] = tuple(FORMATS),
    seed: int = 0,
    num_processes: int = 1,
    folder: Path | None = None,
) -> Counter[tuple[str, str]]:
    """Return how often each format had each outcome, of `total` inputs in all.

    folder: for the inputs that failed.
    """
    seeds = {name: FORMATS[name].make() for name in formats}
    jobs = _list_jobs(total, formats)
    counts: Counter[tuple[str, str]] = Counter()
    lock = Lock()

    def work() -> None:
        with TemporaryDirectory() as place, Worker(Path(place)) as worker:
            while True:
                with lock:
                    job = next(jobs, None)
                if job is None:
                    return
                name, number = job
                content = make_input(name, number, seed, seeds[name])
                outcome, message = worker.judge(name, content)
                with lock:
                    counts[name, outcome] += 1
                if outcome not in GOOD and folder is not None:
                    _save(folder, f"{outcome}-{name}-{number}".replace(" ", "_"), content, message)

    with ThreadPoolExecutor(num_processes) as pool:
        for done in [pool.submit(work) for _ in range(num_processes)]:
            done.result()
    return counts


def _list_jobs(total: int, formats: Sequence[str]) -> Iterator[tuple[str, int]]:
    return ((formats[number % len(formats)], number // len(formats)) for number in range(total))


def _save(folder: Path, stem: str, content: bytes, message: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    suffix = FORMATS[stem.split("-")[1].replace("_", " ")].suffix
    (folder / f"{stem}{suffix}").write_bytes(content)
    (folder / f"{stem}.txt").write_text(message, encoding="utf-8", errors="backslashreplace")


class Worker:
    """A process that judges inputs, replaced when one ends it."""

    def __init__(self, folder: Path, judge: Judge = targets.judge) -> None:
        self._folder = folder
        self._judge = judge
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["fuzz.targets"])
        self._process: Any = None
        self._num_inputs = 0

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def judge(self, format_name: str, content: bytes) -> tuple[str, str]:
        """Return the outcome, and what was said."""
        seeds = FORMATS[format_name]
        path = self._folder / f"input{seeds.suffix}"
        path.write_bytes(content)
        if self._process is None or self._num_inputs >= INPUTS_PER_PROCESS:
            self._start()
        self._num_inputs += 1
        self._pipe.send((seeds.kind, str(path)))
        try:
            ended = self._watch()
            result: tuple[str, str] = ended or self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            result = ("crash", f"exit code {self._process.exitcode}")
        if result[0] in OUTCOMES[4:]:
            self._stop()
        return result

    def _start(self) -> None:
        self._stop()
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs, self._judge))
        self._process.start()
        theirs.close()
        self._pipe.recv()  # it has imported everything
        self._num_inputs = 0

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _watch(self) -> tuple[str, str] | None:
        """Wait for an answer, or say what ended the waiting."""
        process = psutil.Process(self._process.pid)
        start_cpu, start_rss = _measure(process)
        deadline = time.monotonic() + 10 * CPU_SECONDS  # of one that waits for nothing
        while not self._pipe.poll(0.05):
            cpu, rss = _measure(process)
            if cpu - start_cpu > CPU_SECONDS or time.monotonic() > deadline:
                return "hang", f"no answer after {cpu - start_cpu:.0f} s of CPU"
            if rss - start_rss > MAX_GIB * 2**30:
                return "memory", f"{(rss - start_rss) / 2**30:.1f} GiB more than before"
        return None


def _measure(process: psutil.Process) -> tuple[float, int]:
    """Return seconds of CPU, and bytes of memory; of a process that is gone, zeros."""
    try:
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0.0, 0


def _serve(pipe: Connection, judge: Judge) -> None:
    """Judge inputs until the other end is closed; what libraries print is dropped."""
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: not to outlive what started it
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        pipe.send("ready")
        while True:
            try:
                kind, path = pipe.recv()
            except EOFError:
                return
            pipe.send(judge(kind, Path(path)))


def print_table(counts: Counter[tuple[str, str]]) -> None:
    """Print the counts by format."""
    typer.echo(f"{'format':14}" + "".join(f"{outcome:>13}" for outcome in OUTCOMES))
    for name in (*dict.fromkeys(name for name, _ in counts), "all"):
        numbers = [
            sum(n for (each, got), n in counts.items() if got == outcome and name in (each, "all"))
            for outcome in OUTCOMES
        ]
        typer.echo(f"{name:14}" + "".join(f"{number:>13}" for number in numbers))


def main() -> None:
    """Run `python -m fuzz.run`; exit code 1 if an input had another outcome than it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10_000, help="inputs in all")
    parser.add_argument("--formats", default=",".join(FORMATS), help="separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--save", type=Path, default=Path("results/fuzz"), help="folder")
    arguments = parser.parse_args()
    counts = run_fuzz(
        arguments.n,
        formats=arguments.formats.split(","),
        seed=arguments.seed,
        num_processes=arguments.processes,
        folder=arguments.save,
    )
    print_table(counts)
    if any(outcome not in GOOD for _, outcome in counts):
        typer.echo(f"inputs that failed, and why: {arguments.save}")
        sys.exit(1)


if __name__ == "__main__":
    main()
