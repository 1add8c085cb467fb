"""Files that torch.save writes."""

from pathlib import Path

import torch

from sr.io.atomic_write import atomic_write


def write_torch_file(path: Path, content: object) -> None:
    """Write what torch.load reads; the file appears completely or not at all.

    Raises OSError naming `path`, on a full disk too, of which torch makes a RuntimeError.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # of closing the archive after the error of the disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
