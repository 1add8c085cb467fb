"""Before the first step of several processes: all have the same data, options and programs."""

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from sr.data.sources import Source
from sr.errors import UserError
from sr.io.hash_code import hash_code
from sr.training.distributed import name_machine
from sr.training.validate import ValidationSets

_PACKAGES = ("torch", "torchvision", "accelerate", "numpy", "opencv-python-headless", "pyvips")
_NUM_NAMED = 4  # differences in a message; the rest are counted

Facts = Mapping[str, str]


def check_agreement(
    accelerator: Accelerator,
    options: Mapping[str, Any],
    sources: Sequence[Source[Any]],
    sets: ValidationSets,
) -> None:
    """Raise UserError, in all processes, where one differs from the first; all must ask together.

    options: as values of Python; paths may lie in other folders on each machine. sources, sets:
    what is trained on and validated with.
    """
    if accelerator.num_processes == 1:
        return
    facts = {
        "python": platform.python_version(),
        **{f"version of {name}": _find_version(name) for name in _PACKAGES},
        "code of sr": hash_code(),
        "training data": fingerprint_sources(sources),
        **{f"validation data {name}": fingerprint_sources(part) for name, part in sets.items()},
        **{f"option {key}": value for key, value in flatten_options(options)},
    }
    compare_facts(gather_object([(name_machine(), facts)]))


def compare_facts(gathered: Sequence[tuple[str, Facts]]) -> None:
    """Raise UserError where a process has other facts than the first.

    gathered: of each process, by rank: its machine, and its facts.
    """
    _, expected = gathered[0]
    for rank, (machine, facts) in enumerate(gathered):
        keys = [key for key in {**expected, **facts} if expected.get(key) != facts.get(key)]
        if keys:
            named = "; ".join(
                f"{key}: {expected.get(key, 'not set')} and {facts.get(key, 'not set')}"
                for key in keys[:_NUM_NAMED]
            )
            more = f"; {len(keys) - _NUM_NAMED} more" if len(keys) > _NUM_NAMED else ""
            raise UserError(
                f"process {rank} on machine {machine}: expected the same data, options and versions"
                f" as process 0, got others: {named}{more}"
            )


def fingerprint_sources(sources: Sequence[Source[Any]]) -> str:
    """Return what identifies images or clips: number, names, sizes in pixels and bytes.

    Of their paths only what comes after the folder that all are in: that may be elsewhere.
    """
    names = [os.path.abspath(source.name) for source in sources]
    folder = os.path.commonpath(names) if len(names) > 1 else ""
    digest = hashlib.blake2b(digest_size=8)
    for source, name in zip(sources, names, strict=True):
        path = Path(name)
        size = path.stat().st_size if path.is_file() else 0
        below = os.path.relpath(name, folder) if folder else path.name
        digest.update(f"{below} {source.hr_size} {size}\n".encode("utf-8", "surrogateescape"))
    return f"{len(sources)} ({digest.hexdigest()})"


def flatten_options(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each option by its whole key, such as train.steps; of a path its last part."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from flatten_options(each, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from flatten_options(each, f"{key}.{number}")
    else:
        yield key, value.name if isinstance(value, Path) else str(value)


def _find_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
