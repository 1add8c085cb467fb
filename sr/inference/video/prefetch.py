"""Stages of a pipeline: iterators that run in threads of their own, a few items ahead."""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import torch

T = TypeVar("T")

_POLL = 0.1  # seconds after which a waiting stage looks whether it is to stop


class _End:
    """After the last item; with the error that ended the stage, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Stage(Generic[T]):
    """Iterates `items` in a thread of its own, at most `size` items ahead of the taker.

    What `items` raises is raised in the taker, after the items before it. Once `stopped` is set,
    both ends finish without another item.
    """

    def __init__(self, name: str, items: Iterable[T], size: int, stopped: threading.Event) -> None:
        self.name = name
        self._items = items
        self._size = size
        self._stopped = stopped
        self._queue: Queue[T | _End] = Queue(size)
        self._thread = threading.Thread(target=self._run, name=f"sr-{name}", daemon=True)
        self._thread.start()

    @property
    def fill(self) -> float:
        """Items that wait to be taken, as a share of those that may."""
        return self._queue.qsize() / self._size

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while not self._stopped.is_set():
            try:
                item = self._queue.get(timeout=_POLL)
            except Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _run(self) -> None:
        # Small operations that are spread over threads wait for each other longer than they take
        # while the network and the codecs keep the cores busy. The setting is the thread's own.
        torch.set_num_threads(1)
        end = _End()
        try:
            with ExitStack() as stack:
                if isinstance(self._items, Generator):  # which may hold threads of its own
                    stack.enter_context(closing(self._items))
                for item in self._items:
                    if not self._put(item):
                        break
                    del item  # not kept while the next one is made
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that takes
            end = _End(error)
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        """False if nobody takes items any more."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_POLL)
            except Full:
                continue
            return True
        return False


class Pipeline:
    """Stages one behind the other.

    Leaving the block in whatever way ends all of them, at their next item, before it returns.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.stages: list[Stage[Any]] = []
        self._num_threads = torch.get_num_threads()

    def ahead(self, name: str, items: Iterable[T], size: int) -> Iterator[T]:
        """`items`, made by a further `Stage`."""
        stage = Stage(name, items, size, self.stopped)
        self.stages.append(stage)
        return iter(stage)

    @property
    def fills(self) -> dict[str, float]:
        """Of each stage, in order."""
        return {stage.name: stage.fill for stage in self.stages}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopped.set()
        for stage in self.stages:
            stage.join()
        torch.set_num_threads(self._num_threads)  # new threads take what was set last
