"""The networks of spandrel's registry, and the arguments of their constructors."""

import importlib
import inspect
import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from torch import nn

from sr.errors import UserError

SCALE_NAMES = ("upscale", "scale", "up_scale", "upscaling_factor", "upscale_factor")
CHANNEL_NAMES = (
    *("num_in_ch", "num_out_ch", "in_chans", "in_nc", "out_nc", "in_ch", "out_ch"),
    *("in_channels", "out_channels", "inp_channels", "img_channel", "n_colors"),
)
UNFIT = {  # by the names of spandrel's architectures
    "AuraSR": "is a generator from noise",
    "GFPGAN": "takes faces that were cut out and aligned",
    "IPT": "takes one image at a time",
    "LaMa": "takes a mask next to the image",
    "RestoreFormer": "takes faces that were cut out and aligned",
}


def list_networks() -> dict[str, type[nn.Module]]:
    """Return name -> class of the networks of spandrel's registry that can be trained here."""
    from spandrel import MAIN_REGISTRY

    networks = {}
    for support in MAIN_REGISTRY.architectures():
        module = importlib.import_module(type(support.architecture).__module__)
        for name in module.__all__:
            made = getattr(module, name)
            fit = support.architecture.id not in UNFIT
            if fit and isinstance(made, type) and issubclass(made, nn.Module):
                networks[name] = made
    return dict(sorted(networks.items(), key=lambda item: item[0].lower()))


def complete_arguments(scale: int, arch: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of a network's constructor: those given, scale, channels, defaults.

    Raises UserError naming the key under `generator` for what does not fit.
    """
    make = find_network(arch)
    parameters = inspect.signature(make).parameters
    hints = _read_hints(make)
    settable = {
        name: hints.get(name, inspect.Parameter.empty)
        for name, parameter in parameters.items()
        if not callable(parameter.default) or parameter.default is inspect.Parameter.empty
    }
    arguments = {name: each.default for name, each in parameters.items()}
    for name, value in options.items():
        if name not in settable:
            meant = get_close_matches(name, settable, 1)
            hint = f"did you mean {meant[0]}? " if meant else ""
            raise UserError(
                f"generator.options.{name}: {hint}expected an argument of {arch} in spandrel, one "
                f"of {', '.join(settable)}"
            )
        arguments[name] = _check_value(name, value, settable[name], parameters[name].default)
    for name in SCALE_NAMES:
        if name in parameters:
            several = isinstance(parameters[name].default, list)
            ours = [scale] if several else scale
            if arguments[name] != ours and name in options:
                raise UserError(
                    f"generator.options.{name}: expected the scale of this file, {scale}, or "
                    f"nothing; got {options[name]}"
                )
            arguments[name] = ours
    for name in CHANNEL_NAMES:
        if name in parameters:
            if options.get(name, 3) != 3:
                raise UserError(
                    f"generator.options.{name}: expected 3 channels, or nothing; got "
                    f"{options[name]}"
                )
            arguments[name] = 3
    if missing := [n for n, value in arguments.items() if value is inspect.Parameter.empty]:
        raise UserError(
            f"generator.options: expected {', '.join(missing)} of {arch} in spandrel, which has no "
            f"default, got {', '.join(options) or 'nothing'}"
        )
    return arguments


def find_network(arch: str) -> type[nn.Module]:
    """Return the class of a network. Raises UserError with the names that are like an unknown."""
    networks = list_networks()
    if arch in networks:
        return networks[arch]
    if arch in UNFIT:
        raise UserError(
            f"generator.arch: expected a network of single images, got {arch}, which {UNFIT[arch]}"
        )
    by_lower = {name.lower(): name for name in networks}
    meant = [by_lower[name] for name in get_close_matches(arch.lower(), by_lower, 3)]
    hint = f"did you mean {' or '.join(meant)}? " if meant else ""
    raise UserError(
        f"generator.arch: {hint}expected a network of spandrel, one of {', '.join(networks)}; "
        f"got {arch}"
    )


def describe_window_faults(arguments: Mapping[str, Any]) -> str:
    """Return why networks of windows, such as SwinIR and HAT, fail with arguments; or nothing."""
    window, side, overlap = (
        arguments.get(name) for name in ("window_size", "img_size", "overlap_ratio")
    )
    if not isinstance(window, int) or window < 1:
        return ""
    faults = []
    if isinstance(side, int) and side % window:
        faults.append(f"img_size to be a multiple of window_size, got {side} and {window}")
    if isinstance(overlap, int | float) and int(window * overlap) % 2:
        faults.append(
            f"window_size times overlap_ratio to be an even number, got {window} * {overlap:g}"
        )
    if not faults:
        return ""
    return (
        f"expected {' and '.join(faults)}; window_size 8 or 16 with img_size 64 work. Crops "
        "may have any size: lr is padded to a multiple of window_size"
    )


def _read_hints(make: type[nn.Module]) -> dict[str, Any]:
    """Return the types of a constructor's arguments, as far as they are stated and known."""
    try:
        return get_type_hints(make.__init__)
    except (NameError, TypeError):  # of names that only type checkers import
        return {}


def _check_value(name: str, value: object, hint: Any, default: Any) -> Any:
    """Return a value as the constructor takes it; its type is that stated, or the default's."""
    expected = _guess_type(default) if hint is inspect.Parameter.empty else hint
    try:
        adapter = TypeAdapter[Any](expected)
        return adapter.validate_json(json.dumps(value, default=str), strict=True)
    except PydanticUserError:  # a type that is no type of values
        return value
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        indices = [part for part in fault["loc"] if isinstance(part, int)]
        place = ".".join(map(str, [name, *indices]))  # without the members of unions
        said = fault["msg"].removeprefix("Input should be ").replace("valid array", "list")
        shown = list(default) if isinstance(default, tuple) else default
        example = f", such as {shown}" if default not in (None, inspect.Parameter.empty) else ""
        raise UserError(
            f"generator.options.{place}: expected {said}{example}; got {fault['input']!r}"
        ) from None


def _guess_type(default: object) -> Any:
    """Return the type that values need who have this default; Any where it is not known."""
    match default:
        case bool() | str() | int() | float():
            return type(default)
        case [first, *_] if isinstance(first, int | float | str):
            return list[type(first)]  # type: ignore[misc]
        case _:
            return Any
