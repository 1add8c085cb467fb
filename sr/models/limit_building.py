"""Building a network for the weights of a file, and none that is larger than they are.

Metadata and names of tensors say how large a network is to be. A file of 2 kB can say anything, so
the building stops as soon as the network has clearly more than the file has weights for: before
memory is filled, and before a long row of layers is made.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from sr.io.held_numbers import FACTOR, count_held, limit_numbers

SPARE_PARAMETERS = 1000


class NetworkTooLargeError(ValueError):
    """A network that would have more weights than the file that it is built for."""


@contextmanager
def limit_building(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Raise NetworkTooLargeError where a network with far more than these weights is built inside.

    A parameter is counted when it is registered: torch has reserved its memory then, but nothing
    has been written there, so none is taken. Networks built by other threads are not counted.
    """
    most_parameters = FACTOR * len(weights) + SPARE_PARAMETERS
    most_numbers = limit_numbers(weights)
    thread = get_ident()
    num_parameters = num_numbers = 0

    def count(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal num_parameters, num_numbers
        if parameter is None or get_ident() != thread:
            return
        num_parameters += 1
        num_numbers += parameter.numel()
        if num_parameters > most_parameters or num_numbers > most_numbers:
            raise NetworkTooLargeError(
                f"expected a network that the file's {len(weights)} tensors of "
                f"{count_held(weights):,} numbers fill, got a far larger one"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
