"""Control characters in text for a terminal: names of files and metadata may hold any."""

import os
import re

# Newlines, but those of our own messages, whose further lines are indented; C0 without tab, DEL,
# C1, marks that turn the direction of writing, and bytes of a name that are no UTF-8, which Python
# has as surrogates.
_CONTROLS = re.compile(
    r"\n(?!  |\t)"
    "|[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(text: object) -> str:
    r"""Return text in which control characters stand as `\x1b`, which no terminal obeys.

    So does a newline that no indentation follows: it comes from a name.
    """
    return _CONTROLS.sub(_escape, str(text))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte, by `os.fsdecode`
        code = os.fsencode(match[0])[0]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
