"""A download on the terminal: one line that says what is downloaded, and a bar below it.

On stderr whoever asked for the model, a command line or a program of a user: nothing is downloaded
silently.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sr.io.download import Show
from sr.io.escape_controls import escape_controls


def print_note(text: str) -> None:
    """Print a line on stderr."""
    _print(Console(stderr=True), text)


@contextmanager
def show_download(title: str) -> Iterator[Show]:
    """Print the title, and give what shows the progress: a bar, where stderr is a terminal."""
    console = Console(stderr=True)
    _print(console, title)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bars:
        task = bars.add_task("", total=None)

        def show(done: int, total: int | None) -> None:
            bars.update(task, completed=done, total=total)

        yield show


def _print(console: Console, text: str) -> None:
    console.print(escape_controls(text), markup=False, highlight=False, soft_wrap=True)
