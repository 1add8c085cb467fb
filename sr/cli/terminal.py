"""What commands have in common: lines without control characters that names of files or metadata
bring along, and errors as lines and exit codes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sr.errors import UserError
from sr.io.escape_controls import escape_controls
from sr.io.stop_signals import get_exit_code, raise_stop_signals


def print_line(text: object = "", *, err: bool = False) -> None:
    """Print on stdout, or on stderr if `err`; lines of a message after its first are indented."""
    typer.echo(escape_controls(text), err=err)


@contextmanager
def report_errors() -> Iterator[None]:
    """Print what a user can fix and end with exit code 2; end at stop signals with theirs."""
    try:
        with raise_stop_signals():
            yield
    except UserError as error:
        print_line(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt as stop:
        raise typer.Exit(get_exit_code(stop)) from None
