"""The models as a table or as JSON: what --list-models and `sr-models search` print."""

import inspect
import json
from collections.abc import Sequence
from textwrap import wrap
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sr.inference.flag import INPUT
from sr.io.escape_controls import escape_controls
from sr.models.bundled import DEFAULT, SMALL_DEFAULT, SMALL_FACTOR, WEIGHTS
from sr.models.catalogue import list_recommended
from sr.models.list_models import ListedModel, list_models

MARKS = {DEFAULT: "default", SMALL_DEFAULT: f"default up to -s {SMALL_FACTOR:g}"}
GROUPS = {
    "Bundled": ("bundled", "missing"),
    "In the folders of SR_MODELS": ("own",),
    "Downloaded": ("downloaded",),
    "To be downloaded, when -m names them": ("available",),
}


def _list_and_exit(context: typer.Context, parameter: typer.CallbackParam, value: bool) -> None:
    """List the models when both flags have been read, in whatever order they stand."""
    read = context.meta.setdefault("sr.list_models", {})
    read[parameter.name] = value
    if len(read) < 2:
        return
    if read["list_models"]:
        show_models(as_json=read["as_json"])
        raise typer.Exit(0)
    if read["as_json"]:
        raise typer.BadParameter("--json: needs --list-models", context)


def _make_flag(name: str, flag: str, text: str) -> inspect.Parameter:
    option = typer.Option(
        flag, callback=_list_and_exit, is_eager=True, help=text, rich_help_panel=INPUT
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=False, annotation=Annotated[bool, option])


LIST_FLAGS = (
    _make_flag(
        "list_models",
        "--list-models",
        "List the bundled and downloaded models, and those that can be downloaded, with what they"
        " are for, and exit.",
    ),
    _make_flag("as_json", "--json", "With --list-models: as JSON."),
)
"""Of a typer command."""


def show_models(words: str = "", *, as_json: bool = False) -> None:
    """Print the models in which all words occur on stdout; 80 columns hold the tables."""
    models = list_models(words)
    recommended = {use: list(names) for use, names in list_recommended().items()}
    if as_json:
        fields = [model.as_fields() for model in models]
        typer.echo(json.dumps({"recommended": recommended, "models": fields}, indent=1))
        return
    console = Console(highlight=False)
    for title, states in GROUPS.items():
        group = [model for model in models if model.state in states]
        if group:
            is_bundled = "bundled" in states
            licenses = sorted({model.license for model in group if is_bundled and model.license})
            about = f", license {', '.join(licenses)}" if licenses else ""
            console.print(f"{title}{about}:", style="bold")
            if is_bundled:
                console.print(_make_bundled_table(group))
            for model in [] if is_bundled else group:
                _print_two_lines(console, model)
            console.print()
    if not models:
        console.print(f"No model has {words!r}; `sr-models search` lists all.", markup=False)
    elif not words:
        best = ", ".join(f"{use} ({names[0]})" for use, names in recommended.items())
        console.print(f"-m also takes a purpose: {best}.", markup=False)
        console.print(f"Model cards: NAME.md in {WEIGHTS}", markup=False, soft_wrap=True)


def _make_bundled_table(models: Sequence[ListedModel]) -> Table:
    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False)
    table.add_column("-m", no_wrap=True)
    table.add_column("scale", no_wrap=True)
    table.add_column("for")
    table.add_column("network", no_wrap=True)
    table.add_column("weights", justify="right", no_wrap=True)
    table.add_column("MB", justify="right", no_wrap=True)
    for model in models:
        if model.state == "missing":
            table.add_row(model.name, "", f"{model.purpose} (its file is missing)", "", "", "")
            continue
        mark = "videos only" if model.takes_clips else MARKS.get(model.name)
        table.add_row(
            model.name if mark is None else f"{model.name}\n({mark})",
            f"x{model.scale}",
            model.purpose,
            model.network,
            f"{model.num_weights:,}",
            _format_size(model),
        )
    return table


def _print_two_lines(console: Console, model: ListedModel) -> None:
    """Print a name on a line of its own, whole, so that it can be copied; and what it is for."""
    scale = "" if model.scale is None else f"x{model.scale}"
    facts = f"{scale:4}{model.speed:11}{_format_size(model):>6} MB  {model.license}"
    author = f"by {model.author}" if model.author else ""
    about = "; ".join(filter(None, [model.purpose, author])) or str(model.file)
    console.print(escape_controls(f"{model.name:29} {facts}"), markup=False, soft_wrap=True)
    lines = wrap(escape_controls(about), console.width - 5, break_on_hyphens=False)
    console.print("\n".join(f"    {line}" for line in lines), markup=False, soft_wrap=True)


def _format_size(model: ListedModel) -> str:
    return "" if model.num_bytes is None else f"{model.num_bytes / 1e6:.1f}"
