"""Faults inside a video: recorded and passed over, or the end of reading at the first."""

from sr.io.read_policy import Damaged
from sr.io.video.frame import VideoError


class DamageError(VideoError):
    """A video is damaged, and reading stops there; the message names the frame and its time."""


class DecodeErrors:
    """The faults of one video.

    record: in words for the user, in the order found. stop: the first fault ends the reading.
    """

    def __init__(self, name: str, damaged: Damaged) -> None:
        self.record: list[str] = []
        self.stop = damaged == "stop"
        self._name = name

    def add(self, fault: str) -> None:
        """Record a fault, or raise `DamageError` with it."""
        if self.stop:
            raise DamageError(f"{self._name}: expected an undamaged video, got {fault}")
        self.record.append(fault)
