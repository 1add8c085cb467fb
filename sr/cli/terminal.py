"""Lines on the terminal, without control characters that names of files or metadata bring along."""

import typer

from sr.io.escape_controls import escape_controls


def print_line(text: object = "", *, err: bool = False) -> None:
    """Print on stdout, or on stderr if `err`; lines of a message after its first are indented."""
    typer.echo(escape_controls(text), err=err)
