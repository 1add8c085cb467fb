"""The size of results, and how many passes of a network of a fixed scale it takes."""

from typing import TYPE_CHECKING

from sr.errors import UserError

if TYPE_CHECKING:
    from sr.inference.options import OutputOptions

MAX_PASSES = 4  # x4 four times is x256
MAX_FACTOR = 1000.0


class TargetError(UserError):
    """A size that cannot be reached; the message says why."""


def choose_size(output: "OutputOptions", height: int, width: int, scale: int) -> tuple[int, int]:
    """Return (height, width) of the result, at least 1 pixel. scale: of the model."""
    if output.size is not None:
        return output.size
    factor = output.outscale or scale
    if output.long_side is not None:
        factor = output.long_side / max(height, width)
    return max(round(height * factor), 1), max(round(width * factor), 1)


def label_size(output: "OutputOptions", scale: int) -> str:
    """Return the size for names of files: x4, x2.5, 1920x1080 (width first), 2048px."""
    if output.size is not None:
        return f"{output.size[1]}x{output.size[0]}"
    if output.long_side is not None:
        return f"{output.long_side}px"
    return f"x{output.outscale or scale:g}"


def count_passes(size: tuple[int, int], target_size: tuple[int, int], scale: int) -> int:
    """Return how often the network runs over its own result until no side is short of the target.

    At least once: a result that is to be smaller is shrunk from the network's. Raises TargetError
    where more than MAX_PASSES would be needed.
    """
    passes, reached = 1, scale
    while any(side * reached < wanted for side, wanted in zip(size, target_size, strict=True)):
        if scale == 1:
            break  # such a network cleans and does not enlarge; the rest is resampling
        if passes == MAX_PASSES:
            raise TargetError(
                f"expected at most {scale**MAX_PASSES} times the input's size, {MAX_PASSES} passes "
                f"of a model of scale {scale}; got: {target_size[1]}x{target_size[0]} from "
                f"{size[1]}x{size[0]}"
            )
        passes, reached = passes + 1, reached * scale
    return passes


def count_megapixels(num_pixels: int, scale: int, num_passes: int) -> float:
    """Return what the network reads of `num_pixels` LR pixels over all passes, in millions."""
    growths: list[int] = [(scale * scale) ** number for number in range(num_passes)]
    return num_pixels * sum(growths) / 1e6


def parse_size(text: str) -> tuple[int, int]:
    """Parse `1920x1080`, width first, to (height, width). Raises TargetError for anything else."""
    width, separator, height = text.lower().partition("x")
    if not (separator and width.isascii() and height.isascii()):
        raise TargetError(f"expected WIDTHxHEIGHT in pixels, such as 1920x1080, got {text}")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise TargetError(f"expected WIDTHxHEIGHT in pixels, such as 1920x1080, got {text}")
    return int(height), int(width)
