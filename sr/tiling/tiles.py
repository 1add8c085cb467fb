"""How an image is cut into tiles: arithmetic on boxes, without pixels.

A tile's core is what it contributes to the result; cores cover the image once. Its
haloed box is what the network reads: the core and `halo` pixels around it, cut off at
the image's edge. Nothing is padded there, so the network pads as it would for the
whole image, and a tiled result equals the whole one if the halo is at least the
network's receptive radius.

Unit: LR pixels.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Box:
    """Rows top..bottom-1 and columns left..right-1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def rows(self) -> slice:
        """Index of the box's rows."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Index of the box's columns."""
        return slice(self.left, self.right)

    def multiply(self, scale: int) -> "Box":
        """Return the same box on a grid `scale` times as fine."""
        return Box(self.top * scale, self.left * scale, self.bottom * scale, self.right * scale)

    def divide(self, scale: int) -> "Box":
        """Return the same box on the grid that this one's is `scale` times as fine as."""
        top, left, bottom, right = (
            side // scale for side in (self.top, self.left, self.bottom, self.right)
        )
        return Box(top, left, bottom, right)

    def relative_to(self, other: "Box") -> "Box":
        """Return the same box with its origin in the top left corner of `other`."""
        return Box(
            self.top - other.top,
            self.left - other.left,
            self.bottom - other.top,
            self.right - other.left,
        )


@dataclass(frozen=True)
class Tile:
    """A part of the image and the larger part read to compute it."""

    core: Box
    haloed: Box


def split_image(
    height: int, width: int, *, tile_size: int, halo: int, multiple: int = 1
) -> list[Tile]:
    """Cut an image into the fewest tiles with cores of at most `tile_size` a side.

    Cores differ by one pixel at most in height and in width. A `tile_size` of 0 gives
    one tile, the whole image. Tiles come row by row.

    multiple: cores and haloed boxes begin at multiples of it, for networks whose result depends
    on where lr begins; cores differ by one `multiple` then, are at least one where the image
    is, even if `tile_size` is less, and the halo is rounded up to one.
    """
    if height < 1 or width < 1:
        raise ValueError(f"expected an image of at least 1x1 pixel, got {width}x{height}")
    if tile_size < 0 or halo < 0:
        raise ValueError(
            f"expected tile_size and halo of 0 or more pixels, got {tile_size} and {halo}"
        )
    if multiple < 1:
        raise ValueError(f"expected a multiple of 1 or more pixels, got {multiple}")
    image = Box(0, 0, height, width)
    return [
        add_halo(Box(top, left, bottom, right), image, halo=halo, multiple=multiple)
        for top, bottom in _cut_spans(height, tile_size, multiple)
        for left, right in _cut_spans(width, tile_size, multiple)
    ]


def add_halo(core: Box, within: Box, *, halo: int, multiple: int = 1) -> Tile:
    """Make the tile of this core. Its halo is rounded up to `multiple` and cut off at `within`."""
    halo = -(-halo // multiple) * multiple
    haloed = Box(
        max(core.top - halo, within.top),
        max(core.left - halo, within.left),
        min(core.bottom + halo, within.bottom),
        min(core.right + halo, within.right),
    )
    return Tile(core, haloed)


def halve_box(box: Box, multiple: int = 1) -> tuple[Box, Box] | None:
    """Cut a box across its longer side at a multiple; None if that leaves nothing to one half.

    box: begins at multiples. The first half is the larger one where they differ.
    """
    side = max(box.height, box.width)
    cut = -(-side // (2 * multiple)) * multiple
    if cut >= side:
        return None
    if box.height >= box.width:
        row = box.top + cut
        return replace(box, bottom=row), replace(box, top=row)
    column = box.left + cut
    return replace(box, right=column), replace(box, left=column)


def _cut_spans(length: int, tile_size: int, multiple: int) -> list[tuple[int, int]]:
    """Cut 0..length into spans of nearly the same number of multiples, as few as may be."""
    units = -(-length // multiple)
    num_spans = -(-units // max(tile_size // multiple, 1)) if tile_size else 1
    cuts = [i * units // num_spans * multiple for i in range(num_spans)]
    return list(zip(cuts, [*cuts[1:], length], strict=True))
