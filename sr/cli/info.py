"""The command line that describes model files."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from sr.cli.escape import escape_control
from sr.errors import UserError
from sr.models.bundled import resolve_model
from sr.models.describe import describe_model

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Model files of any origin, or names of bundled models"
            " (`infer.py --list-models`).",
        ),
    ],
) -> None:
    """Describe model files: network, scale, size, work, training data, license.

    Exit codes: 0 all described, 2 a file that is no model.
    """
    wrong = False
    for number, file in enumerate(files):
        try:
            lines = describe_model(resolve_model(file))
        except UserError as error:
            wrong = True
            Console(stderr=True).print(
                escape_control(f"error: {error}"), markup=False, soft_wrap=True
            )
            continue
        if number:
            typer.echo()
        width = max(map(len, lines))
        for label, text in lines.items():
            typer.echo(escape_control(f"{label:{width}}  {text}"))
    raise typer.Exit(2 if wrong else 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of sr-info."""
    app(args=arguments)
