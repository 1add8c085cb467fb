"""Kill programs at random moments and print a table of what came of it."""

import argparse
import importlib
import pkgutil
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

import sr
from kills.forked import Program, run_to_end
from kills.kinds import KINDS, Kind, list_names

_SECOND_KILL = 0.3  # share of cases in which the run that goes on is killed, too


class Killer:
    """Kills one kind of program again and again, and counts how it went."""

    def __init__(self, kind: Kind, folder: Path, random_source: random.Random) -> None:
        self.kind = kind
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._folder = folder
        self._random = random_source
        self._unbroken = folder / "unbroken"
        run_to_end(kind.make_inputs, folder / "inputs.txt")
        kind.prepare(self._unbroken)
        self.seconds = run_to_end(
            lambda: kind.run(self._unbroken, resume=False), folder / "unbroken.txt"
        )

    def kill_once(self, number: int) -> None:
        """Kill a run, perhaps the one that goes on too, run to the end, and check all of it."""
        case = self._folder / f"case{self.counts['cases']}"
        self.counts["cases"] += 1
        kind = self.kind
        try:
            kind.prepare(case)
            self._kill(case, number, resume=False)
            if self._random.random() < _SECOND_KILL:
                self._kill(case, self._random.choice([signal.SIGKILL, signal.SIGTERM]), resume=True)
            before = kind.find_finished(case)
            run_to_end(lambda: kind.run(case, resume=True), self._folder / "end.txt")
            kind.check_end(case, self._unbroken)
            after = kind.find_finished(case)
            lost = [name for name in before if name not in after and not is_part(name)]
            assert not lost, f"lost: {lost}"
        except Exception as error:  # noqa: BLE001, all cases are to be seen
            self.counts["failed"] += 1
            self.failures.append(f"{kind.name}, {case}: {type(error).__name__}: {error}")
        else:
            shutil.rmtree(case)

    def _kill(self, case: Path, number: int, *, resume: bool) -> None:
        output = self._folder / f"{case.name}.txt"
        delay = self._random.uniform(0, 1.1 * self.seconds)
        program = Program(lambda: self.kind.run(case, resume=resume), output)
        time.sleep(delay)
        program.send(number)
        code = program.wait()
        self.counts[signal.Signals(number).name] += 1
        expected = {-signal.SIGKILL} if number == signal.SIGKILL else {-15, 130, 143}
        assert code in {0, *expected}, f"exit code {code}:\n{program.read_output()}"
        assert "Traceback" not in program.read_output(), program.read_output()
        self.counts["after the end" if code == 0 else "on the way"] += 1
        whole = self.kind.find_finished(self._unbroken)
        self.kind.check_finished(self.kind.find_finished(case), whole)
        left = [name for name in list_names(case) if is_litter(name)]
        self.counts["left litter"] += bool(left)
        if self.kind.clears_up and code in (130, 143):
            assert not left, f"left after SIGTERM: {left}"


def is_litter(name: str) -> bool:
    """Return whether a name is of something unfinished, segments of a video aside."""
    return ".unfinished" in name or name.endswith((".lock", "-unfinished", ".removed"))


def is_part(name: str) -> bool:
    """Return whether a result is not kept when all is done."""
    return name.startswith(("segment-", "step_"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    names = [kind.name for kind in KINDS]
    parser.add_argument("--kinds", nargs="+", choices=names, default=names, metavar="KIND")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    import_all()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        killers = []
        for index, kind in enumerate(kind for kind in KINDS if kind.name in arguments.kinds):
            folder = Path(name) / str(index)
            folder.mkdir()
            source = random.Random(f"{arguments.seed} {kind.name}")
            killers.append(Killer(kind(folder / "inputs"), folder, source))
        turn = 0
        while sum(map(count_kills, killers)) < arguments.kills:
            number = signal.SIGKILL if turn // len(killers) % 2 == 0 else signal.SIGTERM
            killers[turn % len(killers)].kill_once(number)
            turn += 1
    print_table(killers, time.monotonic() - started)
    sys.exit(any(killer.failures for killer in killers))


def import_all() -> None:
    """Import what programs import when they need it, once for all that are forked."""
    for module in pkgutil.walk_packages(sr.__path__, "sr."):
        importlib.import_module(module.name)
    for name in ("torch._dynamo", "torchvision.utils"):
        importlib.import_module(name)


def count_kills(killer: Killer) -> int:
    """Return how often a kind was killed."""
    return killer.counts["SIGKILL"] + killer.counts["SIGTERM"]


def print_table(killers: list[Killer], seconds: float) -> None:
    """Print a row per kind, and what failed."""
    columns = (
        "SIGKILL",
        "SIGTERM",
        "on the way",
        "after the end",
        "left litter",
        "cases",
        "failed",
    )
    lines = ["| program | a run, s | " + " | ".join(columns) + " |", "|---|" + "---|" * 8]
    for killer in killers:
        cells = " | ".join(str(killer.counts[column]) for column in columns)
        lines.append(f"| {killer.kind.name} | {killer.seconds:.2f} | {cells} |")
    total = sum((killer.counts for killer in killers), Counter[str]())
    lines.append("| all | | " + " | ".join(str(total[column]) for column in columns) + " |")
    failures = [failure for killer in killers for failure in killer.failures]
    text = "\n".join([*lines, f"{seconds:.0f} s", *failures])
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
