"""The command line that describes model files and devices. Torch is imported when it is needed."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import typer

from sr.cli.terminal import print_line
from sr.errors import UserError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Model files of any origin, or names that `infer.py -m` takes (`infer.py"
            " --list-models`).",
        ),
    ] = None,
    chain: Annotated[
        bool,
        typer.Option(
            "--chain",
            help="Describe also what the models make one after the other, as of `infer.py -m A -m"
            " B`: its scale, receptive radius and cost.",
        ),
    ] = False,
    devices: Annotated[
        bool,
        typer.Option(
            "--devices",
            help="List the devices that `infer.py --device` takes here: CPU, CUDA, MPS, Vulkan.",
        ),
    ] = False,
) -> None:
    """Describe model files: network, scale, size, cost, training data, license; or the devices.

    Exit codes: 0 success, 2 a file is not a model.
    """
    if devices:
        from sr.inference.list_devices import describe_devices

        _print_facts(describe_devices())
    elif not files:
        raise typer.BadParameter("expected a FILE, or --devices")
    if files and not _describe_models(files, chain=chain):
        raise typer.Exit(2)


def _describe_models(files: Sequence[str], *, chain: bool) -> bool:
    """Return whether all files are models, and with `chain` make a chain."""
    from sr.models.describe import describe_chain, describe_model
    from sr.models.find_model import resolve_model

    def describe(file: str) -> Mapping[str, str]:
        return describe_model(resolve_model(file))

    def describe_all() -> Mapping[str, str]:
        return describe_chain([resolve_model(file) for file in files])

    wrong = False
    descriptions = [partial(describe, file) for file in files] + [describe_all] * chain
    for number, make in enumerate(descriptions):
        try:
            lines = make()
        except UserError as error:
            wrong = True
            print_line(f"error: {error}", err=True)
            continue
        if number:
            print_line()
        _print_facts(lines)
    return not wrong


def _print_facts(facts: Mapping[str, str]) -> None:
    width = max(map(len, facts))
    for label, text in facts.items():
        print_line(f"{label:{width}}  {text}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of sr-info."""
    app(args=arguments)
