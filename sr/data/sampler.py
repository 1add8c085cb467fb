"""An endless random order of images that depends only on (seed, epoch) and can start anywhere."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from sr.data.sources import Group

Draw = tuple[int, int]  # (index of the image, number of the draw since the run's start)

_BLOCK = 1000  # draws in which every group has its share


class EndlessBatchSampler(Sampler[list[Draw]]):
    """Endless batches of draws from number `first_draw` on: batch `first_batch`, then every
    `stride`-th.

    Epoch e is a permutation of all images seeded with (seed, e); a batch may span two epochs. The
    number of a draw is unique in the run and seeds its crop. Batch n holds the draws first_draw +
    n*batch_size to first_draw + (n+1)*batch_size - 1, so that two batches of 8, in one process or
    in two, hold what one batch of 16 does; and a run may go on with another size or number of
    processes.

    Each of several groups has its own epochs. Every 1000 draws have a fixed number from each group,
    in an order seeded with the number of the thousand.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        seed: int,
        first_batch: int = 0,
        stride: int = 1,
        groups: Sequence[Group] = (),
        first_draw: int = 0,
    ) -> None:
        """first_draw, first_batch: counted from 0. stride: how many processes share the batches.
        groups: of the images, one after the other; none: all are one group.
        """
        self.batch_size = batch_size
        self.seed = seed
        self.first_draw = first_draw
        self.first_batch = first_batch
        self.stride = stride
        self.groups = tuple(groups) or (Group(num_images, 1.0),)
        self.counts = count_draws([group.share for group in self.groups])
        self._starts = np.cumsum([0, *(group.size for group in self.groups)])
        self._permutation = lru_cache(maxsize=2 * len(self.groups))(self._permute)
        self._block = lru_cache(maxsize=2)(self._order_block)

    def __iter__(self) -> Iterator[list[Draw]]:
        batch_number = self.first_batch
        while True:
            first = self.first_draw + batch_number * self.batch_size
            yield [(self._find_index(n), n) for n in range(first, first + self.batch_size)]
            batch_number += self.stride

    def _find_index(self, number: int) -> int:
        """Return the index of the image of a draw."""
        group, draw = 0, number
        if len(self.groups) > 1:
            block, place = divmod(number, _BLOCK)
            order, ranks = self._block(block)
            group = int(order[place])
            draw = block * self.counts[group] + int(ranks[place])  # of this group's
        epoch, place = divmod(draw, self.groups[group].size)
        return int(self._starts[group] + self._permutation(group, epoch)[place])

    def _permute(self, group: int, epoch: int) -> NDArray[np.int64]:
        """Permute a group's images; 0: streams apart from the crops'."""
        seed = (self.seed, 0, epoch, group) if group else (self.seed, 0, epoch)
        return np.random.default_rng(seed).permutation(self.groups[group].size)

    def _order_block(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the group of each draw of a block, and its rank within the group."""
        rng = np.random.default_rng((self.seed, 2, block))  # 2: apart from all other streams
        order = rng.permutation(np.repeat(np.arange(len(self.groups)), self.counts))
        ranks = np.empty(_BLOCK, np.int64)
        for group, count in enumerate(self.counts):
            ranks[order == group] = np.arange(count)
        return order, ranks


def count_draws(shares: Sequence[float]) -> list[int]:
    """Distribute 1000 draws over groups by their shares, with the largest remainders."""
    exact = np.array(shares, np.float64) * _BLOCK / sum(shares)
    counts = np.floor(exact).astype(int)
    missing = _BLOCK - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return [int(count) for count in counts]
