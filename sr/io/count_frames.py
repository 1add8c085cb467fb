"""Count the pages or frames of an image file, without decoding them."""

import io
from pathlib import Path

from sr.io.decode_animation import count_frames as count_with_pillow
from sr.io.decoded_formats import NAMES
from sr.io.image_facts import read_facts
from sr.io.image_formats import ImageError
from sr.io.image_load import PILLOW_FAULTS, Opener, convert_errors, count_pages

_PILLOW_KINDS = {"apng": "PNG", "avis": "AVIF"}


def count_frames(source: Path | bytes, name: str) -> int:
    """Return how many pages or frames `open_image` finds in a file, or in the content of one.

    name: for messages. Raises ImageError.
    """
    with (
        convert_errors(name),
        source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file,
    ):
        facts = read_facts(file, name)
        file.seek(0)
        if kind := _PILLOW_KINDS.get(facts.kind):
            try:
                return count_with_pillow(file, kind)
            except PILLOW_FAULTS as error:
                raise ImageError(f"{name}: expected {NAMES[facts.kind]}, got {error}") from error
        if facts.pages is not None:
            return len(facts.pages)
        return 1 if facts.kind else count_pages(Opener(source, file, facts).open())
