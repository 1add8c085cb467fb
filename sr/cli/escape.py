"""Text of files, names and metadata, as it may be printed."""

import re

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls of terminals, of line ends and of writing direction, and bytes that are no text."""


def escape_control(text: str) -> str:
    """Return a text with control characters other than line feeds as escapes, such as \\x1b.

    Printed as they are, those of a file would color a terminal, name its window or hide words.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
