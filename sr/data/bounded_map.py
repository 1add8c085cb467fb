"""A map in threads that neither begins nor holds more than its results are taken for."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_bounded(
    function: Callable[[Item], Result], items: Iterable[Item], num_threads: int
) -> Iterator[Result]:
    """Give function(item) of each item, in order, computed in threads.

    Items are taken in the caller's thread, at most `num_threads` + 1 ahead of the result that is
    asked for: unlike `Executor.map`, which takes all at once and keeps every result until then.
    Where an item, a result or the caller fails, what has not begun is dropped.
    """
    pool = ThreadPoolExecutor(num_threads)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
