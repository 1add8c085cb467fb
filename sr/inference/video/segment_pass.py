"""One pass of a run over the source of a video whose segments several runs share."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sr.inference.video.resume import Segment
from sr.inference.video.shared_segments import SharedSegments
from sr.io.leases import Leases
from sr.io.video.frame import Frame


class SegmentPass:
    """Which segments are this run's, and the encoder's way to the disk."""

    def __init__(self, shared: SharedSegments, leases: Leases) -> None:
        self.folder = shared.folder
        self.num_seen = 0
        """Frames of the source so far."""
        self._shared = shared
        self._leases = leases
        self._is_ours: dict[int, bool] = {}
        self._claimed: deque[int] = deque()  # whose frames have not come to the encoder
        self._origin = 0

    @property
    def num_frames(self) -> int:
        return self._shared.num_frames

    @property
    def num_bytes(self) -> int:
        return self._shared.num_bytes

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield all frames of the source."""
        for frame in frames:
            if frame.number == 0:
                self._origin = frame.pts
            self.num_seen = frame.number + 1
            yield frame

    def is_wanted(self, number: int) -> bool:
        """Return whether a frame is of a segment that is this run's, which is settled when asked.

        Asked in the order of the frames by whoever decodes; others ask again.
        """
        index = number // self._shared.frames_per_segment
        if index not in self._is_ours:
            self._is_ours[index] = ours = self._claim(index)
            if ours:
                self._claimed.append(index)
        return self._is_ours[index]

    def find_origin(self, _segment: Segment) -> int:
        """When the video's first frame shows, from which the times in all segments count."""
        return self._origin

    @contextmanager
    def add_segment(self) -> Iterator[tuple[Path, Segment]]:
        """Yield a path to write the next of this run's segments to, and what is to be recorded."""
        segment = Segment(self._claimed.popleft())
        path = self.folder / f"{segment.name}.{self._shared.token}"
        try:
            yield path, segment
            self._shared.add(segment, path)
        finally:
            if segment.number not in self._shared.complete:
                path.unlink(missing_ok=True)
            self._leases.release(segment.name)

    def _claim(self, index: int) -> bool:
        name = Segment(index).name
        if self._shared.is_complete(index) or not self._leases.claim(name):
            return False
        if self._shared.is_complete(index):  # since a moment ago
            self._leases.release(name)
            return False
        return True
