"""A run's share of the inputs, where several machines or processes have the same command.

Each takes the tasks whose shard is its own number, without a word between them: a task's shard
follows from its path relative to the input folder, by a hash that is the same on all machines
(BLAKE2b), or from the sizes of all inputs (`split_by_work`).
"""

import hashlib
import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr.errors import UsageError

_SOURCES = (
    (
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
    ),
    # Not SLURM_NTASKS, which a script that is not started by srun, and so alone, has, too.
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("SKYPILOT_NODE_RANK", "SKYPILOT_NUM_NODES"),
    ("JOB_COMPLETION_INDEX", "SR_SHARD_COUNT"),  # of Kubernetes, which does not set a count
)
"""Variables of a shard's number, of the number of shards, and of the first and the last number, if
that is not 0. The first of which any is set counts."""


@dataclass(frozen=True)
class Shard:
    """One of `count` equal shares; numbers begin at 1."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(f"expected I/N with 1 <= I <= N, got {self.number}/{self.count}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, key: str) -> bool:
        """Return whether the task of this key is the shard's, by its hash."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


def parse_shard(text: str) -> Shard:
    """Parse `3/16`, or `auto` for what the scheduler that started this process has set."""
    if text == "auto":
        return read_shard(os.environ)
    number, _, count = text.partition("/")
    if not all(part.isascii() and part.isdigit() for part in (number, count)):
        raise UsageError(f"expected I/N, such as 3/16, or auto, got {text}")
    return Shard(int(number), int(count))


def read_shard(variables: Mapping[str, str]) -> Shard:
    """Return the shard that SLURM, SkyPilot or Kubernetes has given this process.

    Raises UsageError where none has set all of its variables, or the numbers make no shares, as
    those of a SLURM array with gaps (--array=1-9:2).
    """
    names = next((names for names in _SOURCES if any(map(variables.get, names))), ())
    given = {name: variables[name] for name in names if variables.get(name)}
    if not names or len(given) < len(names):
        looked_for = "; ".join(map(" and ".join, _SOURCES))
        raise UsageError(
            f"auto: expected one of these groups of variables: {looked_for}; got"
            f" {' and '.join(given) + ' alone' if given else 'none'}. --shard I/N needs none"
        )
    try:
        index, count, *ends = map(int, given.values())
        first, last = ends or (0, count - 1)
        if last - first + 1 != count:
            raise ValueError
        return Shard(index - first + 1, count)
    except ValueError as error:
        shown = ", ".join(f"{name}={value}" for name, value in given.items())
        raise UsageError(f"auto: expected consecutive numbers, got {shown}") from error


def split_by_work(work: Mapping[str, float], count: int) -> Sequence[set[str]]:
    """Split tasks into `count` sets of about equal work: each next smaller one to the least busy.

    work: of each task, by its key, in any unit. The order of the tasks does not matter.
    """
    shares: list[set[str]] = [set() for _ in range(count)]
    busy = [(0.0, 0, index) for index in range(count)]
    for key in sorted(work, key=lambda key: (-work[key], key)):
        total, num_tasks, index = heapq.heappop(busy)
        shares[index].add(key)
        heapq.heappush(busy, (total + work[key], num_tasks + 1, index))
    return shares
