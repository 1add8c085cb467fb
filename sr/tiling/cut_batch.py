"""A batch of tiles in two, or its only tile in halves, where the memory does not suffice."""

from torch import Tensor

from sr.tiling.tiles import Tile, add_halo, halve_box

MIN_CORE_SIZE = 16  # LR pixels of the longer side, below which no tile is cut; halos cost more

Patch = tuple[Tile, Tensor]
"""A tile and what was read for it: (B, 3, haloed.height, haloed.width), float32, RGB in [0, 1]; or
packed windows."""


def cut_batch(batch: list[Patch], *, halo: int, multiple: int) -> list[list[Patch]]:
    """Cut a batch in two; return nothing where it is too small for that.

    halo, multiple: as `Upscaler`, in LR pixels.
    """
    if len(batch) > 1:
        middle = (len(batch) + 1) // 2
        return [batch[:middle], batch[middle:]]
    ((tile, lr),) = batch
    core, haloed = tile.core, tile.haloed
    halves = halve_box(core, multiple)
    if halves is None or max(core.height, core.width) < 2 * MIN_CORE_SIZE:
        return []
    parts = []
    for half in halves:
        # Within the box that was read, so nothing is read again.
        part = add_halo(half, haloed, halo=halo, multiple=multiple)
        box = part.haloed.relative_to(haloed)
        parts.append([(part, lr[:, :, box.rows, box.columns])])
    return parts


def measure_area(batch: list[Patch]) -> int:
    """Return the LR pixels of the cores."""
    return sum(tile.core.area for tile, _ in batch)
