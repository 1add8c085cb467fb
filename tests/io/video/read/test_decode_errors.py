"""Faults are recorded, or end the reading."""

import pytest

from sr.io.video.frame import VideoError
from sr.io.video.read.decode_errors import DamageError, DecodeErrors


def test_faults_are_recorded_in_order() -> None:
    damage = DecodeErrors("a.mp4", "continue")
    damage.add("frame 3 is damaged")
    damage.add("frame 7 is damaged")
    assert damage.record == ["frame 3 is damaged", "frame 7 is damaged"]
    assert not damage.stops


def test_the_first_fault_stops_on_request() -> None:
    damage = DecodeErrors("a.mp4", "stop")
    assert damage.stops
    with pytest.raises(DamageError, match=r"a\.mp4: .* got frame 3 is damaged"):
        damage.add("frame 3 is damaged")
    assert issubclass(DamageError, VideoError)
