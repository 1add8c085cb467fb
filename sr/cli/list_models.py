"""The bundled models as a table: what --list-models prints."""

import inspect
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sr.errors import ModelFileError
from sr.inference.flag import INPUT
from sr.models.bundled import (
    BUNDLED,
    DEFAULT,
    SMALL_DEFAULT,
    SMALL_FACTOR,
    WEIGHTS,
    BundledModel,
)


def _list_and_exit(asked: bool) -> None:
    if asked:
        show_models()
        raise typer.Exit(0)


LIST_MODELS = inspect.Parameter(
    "list_models",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option(
            "--list-models",
            callback=_list_and_exit,
            is_eager=True,
            help="List the bundled models and what they are for, and exit.",
            rich_help_panel=INPUT,
        ),
    ],
)
"""Of a typer command."""


def show_models() -> None:
    """Print a table on stdout, a row per model; 80 columns hold it."""
    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False)
    table.add_column("-m", no_wrap=True)
    table.add_column("scale", no_wrap=True)
    table.add_column("for")
    table.add_column("network", no_wrap=True)
    table.add_column("weights", justify="right", no_wrap=True)
    table.add_column("MB", justify="right", no_wrap=True)
    for bundled in BUNDLED:
        table.add_row(*_cells(bundled))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Model cards: NAME.md in {WEIGHTS}", markup=False, soft_wrap=True)


def _cells(bundled: BundledModel) -> list[str]:
    marks = {DEFAULT: "default", SMALL_DEFAULT: f"default up to -s {SMALL_FACTOR:g}"}
    mark = marks.get(bundled.name)
    try:
        facts = bundled.read_facts()
    except ModelFileError:
        return [bundled.name, "", f"{bundled.purpose} (its file is missing)", "", "", ""]
    if facts.takes_clips:
        mark = "videos only"
    return [
        bundled.name if mark is None else f"{bundled.name}\n({mark})",
        f"x{facts.scale}",
        bundled.purpose,
        facts.network,
        f"{facts.num_weights:,}",
        f"{facts.num_bytes / 1e6:.1f}",
    ]
