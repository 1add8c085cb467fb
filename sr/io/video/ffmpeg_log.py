"""What FFmpeg prints about its work: read where it is needed, and kept from the terminal."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av
import av.logging

_CAPTURING = threading.Lock()
_NOTHING = logging.CRITICAL + 1


@contextmanager
def capture_log(lines: list[str], level: int = av.logging.WARNING) -> Iterator[None]:
    """Add what FFmpeg prints in this thread, of `level` (of av.logging) and worse, to `lines`.

    The level is one of the whole process: what other threads print meanwhile goes to Python's
    loggers, which would print it on the terminal.
    """
    with _CAPTURING:
        old_level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
        logger = logging.getLogger("libav")
        logger_level = logger.level
        logger.setLevel(_NOTHING)
        av.logging.set_level(level)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture(local=True) as captured:
                yield
        finally:
            av.logging.set_level(old_level)
            av.logging.set_skip_repeated(skip)
            logger.setLevel(logger_level)
            lines += [message.strip() for _, _, message in captured]
