"""An endless order of pictures that depends only on (seed, epoch) and can start at any step."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Draw = tuple[int, int]  # (index of the picture, number of the draw since the run's start)


class EndlessBatchSampler(Sampler[list[Draw]]):
    """Batches of draws without end, from `first_step` on.

    Epoch e runs through a permutation of all pictures seeded with (seed, e); batches go across
    the border of two epochs. The number of a draw is unique in the run and seeds its crop.
    """

    def __init__(self, num_pictures: int, batch_size: int, seed: int, first_step: int = 1) -> None:
        """first_step: 1 for a new run, k + 1 after k steps."""
        self.num_pictures = num_pictures
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        """Order of the pictures; 0: streams apart from the crops'."""
        return np.random.default_rng((self.seed, 0, epoch)).permutation(self.num_pictures)

    def __iter__(self) -> Iterator[list[Draw]]:
        number = (self.first_step - 1) * self.batch_size
        epoch = -1
        order = np.empty(0, np.int64)
        while True:
            batch = []
            for _ in range(self.batch_size):
                if number // self.num_pictures != epoch:
                    epoch = number // self.num_pictures
                    order = self._permutation(epoch)
                batch.append((int(order[number % self.num_pictures]), number))
                number += 1
            yield batch
