"""Which batch fits the memory: measured at two sizes, extrapolated along a line."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

from sr.memory import is_out_of_memory

SHARE = 0.9  # of the memory; the rest is for what differs from step to step
_GIB = 2**30


@dataclass(frozen=True)
class BatchFit:
    """The memory of a step: a constant, and what each crop of a batch adds. In bytes."""

    constant: float
    per_crop: float
    usable: int  # what this process can have in all

    @property
    def largest_batch(self) -> int:
        """Return the largest batch size that leaves a tenth of the memory; 0 if none does."""
        return max(0, int((SHARE * self.usable - self.constant) / self.per_crop))

    def find_largest_crop(self, batch_size: int, crop_size: int, scale: int) -> int:
        """Return the largest crop size at a batch size; memory goes with a crop's pixels."""
        pixels = crop_size**2 * (SHARE * self.usable - self.constant) / self.per_crop / batch_size
        side = isqrt(max(0, int(pixels)))
        return side - side % scale


def measure_fit(
    measure: Callable[[int], int | None], batch_size: int, usable: int
) -> BatchFit | None:
    """Measure a step at two batch sizes: the given one and half of it, or 1 and 2; less if need be.

    measure: batch size -> bytes at the peak of a step, None where the system does not say; may run
    out of memory. Returns None where nothing was learned.
    """
    peaks: dict[int, int] = {}
    size = max(batch_size, 2)
    while size and len(peaks) < 2:
        try:
            peak = measure(size)
            if not peaks:  # the first step made what optimizers keep
                peak = measure(size)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            if peak is None:
                return None
            peaks[size] = peak
        size //= 2
    if len(peaks) < 2:
        return None
    (large, at_large), (small, at_small) = peaks.items()
    per_crop = (at_large - at_small) / (large - small)
    if per_crop <= 0:  # too little for the measure
        return None
    return BatchFit(at_large - per_crop * large, per_crop, usable)


def split_batch(batch_size: int, accumulation: int, largest: int) -> tuple[int, int]:
    """Return batch size and accumulation with the same product, the former at most `largest`.

    largest: at least 1.
    """
    crops = batch_size * accumulation
    return next(
        (crops // parts, parts)
        for parts in range(accumulation, crops + 1)
        if crops % parts == 0 and crops // parts <= largest
    )


def describe_fit(
    fit: BatchFit, batch_size: int, accumulation: int, crop_size: int, scale: int
) -> str:
    """Return a line on what fits, with the options to set where the batch does not."""
    line = (
        f"batch: {fit.per_crop / _GIB:.3f} GiB per crop and {fit.constant / _GIB:.2f} GiB once, of "
        f"{fit.usable / _GIB:.1f} GiB that can be used; "
    )
    crop = fit.find_largest_crop(batch_size, crop_size, scale)
    if fit.largest_batch >= batch_size:
        line += f"batch_size up to about {fit.largest_batch} fits"
        return line + (f", or crop_size up to about {crop}" if crop > crop_size else "")
    if fit.largest_batch == 0:
        crop = fit.find_largest_crop(1, crop_size, scale)
        line += f"not even one crop of {crop_size} fits"
        return line + (f": use datasets.train.crop_size={crop} at most" if crop else "")
    size, parts = split_batch(batch_size, accumulation, fit.largest_batch)
    return (
        f"{line}batch_size {batch_size} does not fit with a tenth to spare: use "
        f"datasets.train.batch_size={size} train.accumulation={parts}"
    )
