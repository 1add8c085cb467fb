"""Faults inside a video: passed over and recorded, or the end at the first."""

from typing import Literal

from sr.io.video.frame import VideoError

Damaged = Literal["continue", "stop"]
"""What to do about them."""


class DamageError(VideoError):
    """A video is damaged, and damage was to stop it; the message names the frame and its time."""


class DecodeErrors:
    """The faults of one video.

    record: in words for the user, in the order found.
    """

    def __init__(self, name: str, damaged: Damaged) -> None:
        self.record: list[str] = []
        self._name = name
        self._damaged = damaged

    @property
    def stops(self) -> bool:
        """The first fault ends the reading."""
        return self._damaged == "stop"

    def add(self, fault: str) -> None:
        """Record a fault, or raise `DamageError` with it."""
        if self.stops:
            raise DamageError(f"{self._name}: expected an undamaged video, got {fault}")
        self.record.append(fault)
