"""What a network that looks at several frames is given next to the one that it enlarges."""

from dataclasses import dataclass

from sr.motion.frame_window import Window
from sr.motion.methods import FlowMethod
from sr.networks.packed_window import num_packed_channels

ONLY_VIDEOS = (
    "this model looks at several frames, so it enlarges videos, and frames as a pattern such as "
    "frames/%04d.png; not single images"
)


@dataclass(frozen=True)
class FrameWindow:
    """Which frames, and what measures the flow to them."""

    frames: Window
    flow: FlowMethod

    @property
    def num_channels(self) -> int:
        """Of the packed window that the network takes."""
        return num_packed_channels(len(self.frames.offsets))
