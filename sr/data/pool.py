"""A pool of the latest crops, from which batches are drawn: each crop is used several times.

The training pair pool of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833, released code), there to
mix degradations that all crops of a batch share. With several uses it is the data echoing of Choi
et al. 2019, "Faster Neural Network Training with Data Echoing" (arXiv 1907.05550).

Deviations from Real-ESRGAN: crops leave the pool by age, not when they are used, so that the pool
is a function of the number of the batch and a resumed run has the same one.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import torch

from sr.data.crops import Crop


def count_held_batches(size: int, batch_size: int) -> int:
    """Return how many batches a pool of at least `size` crops holds."""
    return -(-size // batch_size)


def draw_from_pool(
    fresh: Iterator[Crop],
    size: int,
    uses: int,
    batch_size: int,
    seed: int,
    first_batch: int,
    stride: int,
) -> Iterator[Crop]:
    """Draw batches from a pool that takes in a fresh one for every `uses` drawn.

    fresh: batches of this process, from the oldest that the pool holds at `first_batch` on. seed,
    first_batch, stride: as for `EndlessBatchSampler`, of the batches drawn. Of the first batches of
    a run, the pool holds what there is.
    """
    held = count_held_batches(size, batch_size)
    pool: deque[Crop] = deque(maxlen=held)
    num_taken = max(0, first_batch // stride // uses - held + 1)
    for number in count(first_batch, stride):
        while num_taken <= number // stride // uses:
            pool.append(next(fresh))
            num_taken += 1
        rng = np.random.default_rng((seed, 3, number))  # 3: apart from the other streams
        yield _draw(pool, batch_size, rng)


def _draw(pool: Sequence[Crop], batch_size: int, rng: np.random.Generator) -> Crop:
    """Draw as many different crops as a batch has."""
    chosen = rng.choice(len(pool) * batch_size, batch_size, replace=False)
    places = [divmod(int(number), batch_size) for number in chosen]
    drawn = {
        key: torch.stack([pool[batch][key][place] for batch, place in places])  # type: ignore[literal-required]
        for key in pool[0]
        if key != "name"
    }
    names = [pool[batch]["name"][place] for batch, place in places]
    return {**drawn, "name": names}  # type: ignore[typeddict-item]
