"""The size of results, and how many passes of a network of a fixed scale it takes."""

from dataclasses import dataclass

from sr.errors import UserError

MAX_PASSES = 4  # x4 four times is x256
MAX_FACTOR = 1000.0


class TargetError(UserError):
    """A size that cannot be reached; the message says why."""


@dataclass(frozen=True)
class Factor:
    """A multiple of the input's sides; None for the model's scale."""

    factor: float | None = None

    def label(self, scale: int) -> str:
        """For the names of files: x4, x2.5."""
        return f"x{self.factor or scale:g}"

    def size(self, height: int, width: int, scale: int) -> tuple[int, int]:
        """(height, width) of the result, at least 1 pixel."""
        factor = self.factor or scale
        return max(round(height * factor), 1), max(round(width * factor), 1)


@dataclass(frozen=True)
class Exact:
    """Exactly this size; proportions are not kept."""

    height: int
    width: int

    def label(self, _scale: int) -> str:
        """For the names of files: 1920x1080, width first."""
        return f"{self.width}x{self.height}"

    def size(self, _height: int, _width: int, _scale: int) -> tuple[int, int]:
        """(height, width) of the result."""
        return self.height, self.width


@dataclass(frozen=True)
class LongSide:
    """The length of the longer side in pixels, the other in proportion."""

    pixels: int

    def label(self, _scale: int) -> str:
        """For the names of files: 2048px."""
        return f"{self.pixels}px"

    def size(self, height: int, width: int, _scale: int) -> tuple[int, int]:
        """(height, width) of the result, at least 1 pixel."""
        factor = self.pixels / max(height, width)
        return max(round(height * factor), 1), max(round(width * factor), 1)


Target = Factor | Exact | LongSide


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
                f"of a model of scale {scale}; wanted: {target_size[1]}x{target_size[0]} from "
                f"{size[1]}x{size[0]}"
            )
        passes, reached = passes + 1, reached * scale
    return passes


def count_megapixels(num_pixels: int, scale: int, num_passes: int) -> float:
    """Return what the network reads of `num_pixels` LR pixels over all passes, in millions."""
    growths: list[int] = [(scale * scale) ** number for number in range(num_passes)]
    return num_pixels * sum(growths) / 1e6


def parse_size(text: str) -> Exact:
    """Parse `1920x1080`, width first. Raises TargetError for anything else."""
    width, separator, height = text.lower().partition("x")
    if not (separator and width.isascii() and height.isascii()):
        raise TargetError(f"expected WIDTHxHEIGHT in pixels, such as 1920x1080, got {text}")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise TargetError(f"expected WIDTHxHEIGHT in pixels, such as 1920x1080, got {text}")
    return Exact(int(height), int(width))
