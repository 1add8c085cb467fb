"""Defaults and choices for inputs that are too large or damaged, for all readers."""

from typing import Literal

DEFAULT_MAX_PIXELS = 1_000_000_000
"""Of all frames of an image, or of one frame of a video: a small file can declare a huge image."""

Damaged = Literal["continue", "stop"]
"""What to do about damage: take what can be decoded, or read no further."""

AboveWhite = Literal["refuse", "clip", "curve"]
"""What to do about values above 1, of OpenEXR and float TIFF."""
