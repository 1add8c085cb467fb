"""Dataclasses of `Annotated[type, Flag(...)]` fields -> parameters of a typer command, and back."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer

from sr.errors import UsageError
from sr.inference.flag import PANELS, Flag
from sr.options.read_docstrings import read_docstrings

Options = TypeVar("Options")


def make_command(
    kind: type[Options], run: Callable[[Options], None], *, text: str, more: Sequence[Any] = ()
) -> Callable[..., None]:
    """Return a function for typer whose parameters are the flags of a dataclass and of its parts.

    It constructs the dataclass and passes it to `run`. text: the help. more: further parameters.
    """
    parameters = [*_make_parameters(kind), *more]
    parameters.sort(key=lambda each: PANELS.index(get_args(each.annotation)[1].rich_help_panel))

    def command(**values: Any) -> None:
        run(_construct(kind, values))

    command.__doc__ = text
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # for typer
    return command


def list_flags(kind: type) -> Iterator[tuple[Field[Any], Any, Flag | None]]:
    """Fields with their types; without a flag those that are dataclasses themselves."""
    hints = get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        hint = hints[each.name]
        if is_dataclass(hint):
            yield each, hint, None
        elif get_origin(hint) is Annotated:  # others are for Python callers only
            yield each, *get_args(hint)


def _make_parameters(kind: type) -> Iterator[inspect.Parameter]:
    helps = read_docstrings(kind)
    for each, hint, flag in list_flags(kind):
        if flag is None:
            yield from _make_parameters(hint)
            continue
        choices = get_choices(hint)
        option = typer.Option(
            *list_names(each, flag),
            metavar="|".join(choices) or flag.metavar,
            help=helps[each.name],
            rich_help_panel=flag.panel,
            min=flag.min,
            max=flag.max,
            show_default=flag.default or True,
        )
        default: Any = inspect.Parameter.empty if each.default is MISSING else each.default
        kind_of_value = hint
        if get_origin(hint) is Mapping:
            kind_of_value, default = list[str] | None, None
        elif flag.is_repeated:
            kind_of_value = list[str] | None
        elif get_origin(hint) is Sequence:
            kind_of_value = list[Path]
        elif choices:
            kind_of_value = str if default is not None else str | None
        elif flag.parse is not None:
            kind_of_value, default = str | None, None
        yield inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind_of_value, option],
        )


def _construct(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """Construct a dataclass of values as typer gives them; those not given keep their defaults.

    Raises UsageError that begins with the flag's name.
    """
    given = {}
    for each, hint, flag in list_flags(kind):
        if flag is None:
            given[each.name] = _construct(hint, values)
        elif (value := values[each.name]) not in (None, []):
            name = list_names(each, flag)[0]
            try:
                value = value if flag.parse is None else flag.parse(value)
            except ValueError as error:
                raise UsageError(f"{name}: {error}") from None
            if flag.is_repeated and len(value) == 1:
                (value,) = value
            choices = get_choices(hint) or (value,)
            if value not in choices:
                raise UsageError(f"{name}: expected {' or '.join(choices)}, got {value}")
            given[each.name] = value
    return kind(**given)


def list_names(each: Field[Any], flag: Flag) -> tuple[str, ...]:
    """Return the names of a field's flag, the one of messages first."""
    return flag.names or (f"--{each.name.replace('_', '-')}",)


def get_choices(hint: Any) -> tuple[Any, ...]:
    """Return the values of a `Literal`, also of an optional one; none of other types."""
    for each in (hint, *get_args(hint)):
        if get_origin(each) is Literal:
            return get_args(each)
    return ()
