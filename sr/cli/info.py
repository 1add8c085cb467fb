"""The command line that describes model files. Torch is imported when there is one to read."""

from collections.abc import Sequence
from typing import Annotated

import typer

from sr.cli.terminal import print_line
from sr.errors import UserError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Model files of any origin, or names of bundled models"
            " (`infer.py --list-models`).",
        ),
    ],
) -> None:
    """Describe model files: network, scale, size, cost, training data, license.

    Exit codes: 0 success, 2 a file is not a model.
    """
    from sr.models.bundled import resolve_model
    from sr.models.describe import describe_model

    wrong = False
    for number, file in enumerate(files):
        try:
            lines = describe_model(resolve_model(file))
        except UserError as error:
            wrong = True
            print_line(f"error: {error}", err=True)
            continue
        if number:
            print_line()
        width = max(map(len, lines))
        for label, text in lines.items():
            print_line(f"{label:{width}}  {text}")
    raise typer.Exit(2 if wrong else 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of sr-info."""
    app(args=arguments)
