"""Iterators that run in threads of their own, a few items ahead of whoever takes the items."""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Any, Self, TypeVar

import torch

T = TypeVar("T")
_Entry = tuple[T] | BaseException | None
"""An item, the error that ended the iterator, or None at its end."""

_POLL = 0.1  # seconds after which a waiting thread looks whether it is to stop


class Prefetcher:
    """Runs iterators in threads, which usually take from each other.

    Leaving the block in whatever way ends all threads, at their next item, before it returns.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._queues: dict[str, Queue[Any]] = {}
        self._threads: list[threading.Thread] = []
        self._num_threads = torch.get_num_threads()

    def prefetch(self, name: str, items: Iterable[T], size: int) -> Iterator[T]:
        """Iterate `items` in a new thread, at most `size` items ahead.

        What `items` raises is raised where the items are taken, after those before it. Once
        `stopped` is set, both ends finish without another item.
        """
        queue: Queue[_Entry[T]] = Queue(size)
        thread = threading.Thread(
            target=self._fill_queue, args=(items, queue), name=f"sr-{name}", daemon=True
        )
        self._queues[name] = queue
        self._threads.append(thread)
        thread.start()
        return self._yield_entries(queue)

    @property
    def fills(self) -> dict[str, float]:
        """How full the queue behind each thread is, 0 to 1, in order."""
        return {name: queue.qsize() / queue.maxsize for name, queue in self._queues.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join()
        torch.set_num_threads(self._num_threads)  # new threads take what was set last

    def _yield_entries(self, queue: Queue[_Entry[T]]) -> Iterator[T]:
        while not self.stopped.is_set():
            try:
                entry = queue.get(timeout=_POLL)
            except Empty:
                continue
            if entry is None:
                return
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]

    def _fill_queue(self, items: Iterable[T], queue: Queue[_Entry[T]]) -> None:
        # Small operations that are spread over threads wait for each other longer than they take
        # while the network and the codecs keep the cores busy. The setting is the thread's own.
        torch.set_num_threads(1)
        end: BaseException | None = None
        try:
            with ExitStack() as stack:
                if isinstance(items, Generator):  # which may hold threads of its own
                    stack.enter_context(closing(items))
                for item in items:
                    if not self._put_entry(queue, (item,)):
                        break
                    del item  # not kept while the next one is made
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that takes
            end = error
        self._put_entry(queue, end)

    def _put_entry(self, queue: Queue[_Entry[T]], entry: _Entry[T]) -> bool:
        """Return False if nobody takes items any more."""
        while not self.stopped.is_set():
            try:
                queue.put(entry, timeout=_POLL)
            except Full:
                continue
            return True
        return False
