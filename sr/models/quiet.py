"""Keep exporters quiet, which print at length what a caller needs one line of."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO


@contextmanager
def silence_output() -> Iterator[None]:
    """Let nothing be printed, logged or warned of inside; what is raised comes out.

    Concerns the whole process, so nothing else may run next to it.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
