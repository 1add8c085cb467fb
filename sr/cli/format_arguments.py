"""Options -> the arguments of the command line that give them, and back."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any

import typer

from sr.cli.flags import list_flags, list_names, make_command
from sr.errors import UsageError
from sr.inference.options import InferOptions
from sr.io.video.time_range import Moment


def format_command(options: InferOptions) -> str:
    """Return the command line that does the same, quoted for a shell."""
    return shlex.join(["sr-infer", *format_arguments(options)])


def format_arguments(options: Any) -> list[str]:
    """Return the arguments of all flags that differ from their defaults."""
    arguments: list[str] = []
    for each, _, flag in list_flags(type(options)):
        value = getattr(options, each.name)
        if flag is None:
            arguments += format_arguments(value)
        elif value != _get_default(each):
            name = list_names(each, flag)[0]
            values = value if flag.is_repeated and not isinstance(value, str) else [value]
            texts = (text for each_value in values for text in _format_value(each_value))
            arguments += [part for text in texts for part in (name, *text)]
    return arguments


def parse_arguments(arguments: Sequence[str]) -> InferOptions:
    """Parse the arguments of `infer.py`. Raises UserError, also for what is no flag."""
    parsed: list[InferOptions] = []
    app = typer.Typer(add_completion=False)
    app.command()(make_command(InferOptions, parsed.append, text=""))
    command = typer.main.get_command(app)
    try:
        command.main(list(arguments), standalone_mode=False)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"expected arguments of infer.py, got {shlex.join(arguments)}") from error
    if not parsed:
        raise UsageError(f"expected arguments of infer.py, got {shlex.join(arguments)}")
    return parsed[0]


def _get_default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _format_value(value: Any) -> Iterator[list[str]]:
    """Yield what follows the flag's name, once for each time that it is repeated."""
    match value:
        case bool():
            yield []
        case float():
            yield [f"{value:.12g}"]
        case Moment(frame=int(frame)):
            yield [f"{frame}f"]
        case Moment(seconds=seconds):
            assert seconds is not None
            yield [f"{float(seconds):.9f}"]
        case (int(height), int(width)):
            yield [f"{width}x{height}"]
        case tuple() if all(isinstance(each, str) for each in value):
            yield [",".join(value)]
        case Mapping():
            yield from ([f"{key}={each}"] for key, each in value.items())
        case list() | tuple():
            yield from ([str(each)] for each in value)
        case _:
            yield [str(value)]
