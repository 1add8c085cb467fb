"""An endless order of images that depends only on (seed, epoch) and can start anywhere."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Draw = tuple[int, int]  # (index of the image, number of the draw since the run's start)


class EndlessBatchSampler(Sampler[list[Draw]]):
    """Batches of draws without end: number `first_batch`, then every `stride`-th.

    Epoch e runs through a permutation of all images seeded with (seed, e); batches go across
    the border of two epochs. The number of a draw is unique in the run and seeds its crop. Batch n
    holds the draws n*batch_size to (n+1)*batch_size - 1, so that two batches of 8, in one process
    or in two, hold what one batch of 16 does.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        seed: int,
        first_batch: int = 0,
        stride: int = 1,
    ) -> None:
        """first_batch: counted from 0. stride: how many processes share the batches."""
        self.num_images = num_images
        self.batch_size = batch_size
        self.seed = seed
        self.first_batch = first_batch
        self.stride = stride

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        """Order of the images; 0: streams apart from the crops'."""
        return np.random.default_rng((self.seed, 0, epoch)).permutation(self.num_images)

    def __iter__(self) -> Iterator[list[Draw]]:
        batch_number = self.first_batch
        epoch = -1
        order = np.empty(0, np.int64)
        while True:
            batch = []
            first = batch_number * self.batch_size
            for number in range(first, first + self.batch_size):
                if number // self.num_images != epoch:
                    epoch = number // self.num_images
                    order = self._permutation(epoch)
                batch.append((int(order[number % self.num_images]), number))
            yield batch
            batch_number += self.stride
