"""Tasks -> blocks of rows for Ray Data, and back in an actor.

A block is what an actor does at a time, and what is done again if it dies: several images, so that
one is read while another goes through the network, or one video or archive. Paths are bytes: names
of files need not be text. No pixels travel.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sr.inference.tasks import Kind, Task
from sr.io.object_path import parse_place

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_ROWS = 16
_BLOCKS_PER_ACTOR = 8  # at least, as far as there are images: the last block is waited for

Block = Mapping[int, Task]
"""Tasks by their index in the driver's list."""


def split_tasks(tasks: Block, num_actors: int) -> Iterator[Block]:
    """Yield blocks of images, then of single videos and archives."""
    images = [index for index, task in tasks.items() if task.kind == "image"]
    size = min(_MAX_ROWS, max(1, len(images) // (_BLOCKS_PER_ACTOR * num_actors)))
    for start in range(0, len(images), size):
        yield {index: tasks[index] for index in images[start : start + size]}
    for index, task in tasks.items():
        if task.kind != "image":
            yield {index: task}


def make_table(block: Block, *, is_own: bool = True) -> "pa.Table":
    """Return the rows of a block. is_own: False to help with a video that is another row's."""
    import pyarrow as pa

    tasks = block.values()
    return pa.table(
        {
            "index": [*block],
            "source": pa.array([os.fsencode(task.source) for task in tasks], pa.binary()),
            "output": pa.array([os.fsencode(task.output) for task in tasks], pa.binary()),
            "kind": [task.kind for task in tasks],
            "key": pa.array([os.fsencode(task.key) for task in tasks], pa.binary()),
            "page": [task.page or 0 for task in tasks],
            "is_own": [is_own] * len(block),
        }
    )


def read_rows(columns: Mapping[str, Sequence[Any]]) -> dict[int, Task]:
    """Return the tasks of a block."""
    names = ("index", "source", "output", "kind", "key", "page", "is_own")
    tasks = {}
    for index, source, output, kind, key, page, is_own in zip(
        *(columns[name] for name in names), strict=True
    ):
        tasks[int(index)] = Task(
            parse_place(Path(os.fsdecode(source))),
            parse_place(Path(os.fsdecode(output))),
            cast("Kind", str(kind)),
            os.fsdecode(key),
            bool(is_own),
            int(page) or None,
        )
    return tasks
