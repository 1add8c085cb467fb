"""What a model file says of the frames that its generator sees, and what measures their flow.

Under the key `clips`: offsets (where the neighbors stand in time, in the network's order), edge
and alignment (`sr.motion.frame_window.Window`), flow (`sr.options.flow`).
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sr.errors import UserError
from sr.motion.frame_window import Alignment, Edge, Window
from sr.options.base import describe_faults
from sr.options.flow import DISOptions, FarnebackOptions, FlowOptions, RAFTOptions

MAX_OFFSET = 50  # frames; all of a window are kept in memory
FLOWS: dict[str, FlowOptions] = {
    "dis": DISOptions(type="DIS"),
    "farneback": FarnebackOptions(type="Farneback"),
    "raft": RAFTOptions(type="RAFT"),
}
"""Methods by the names that users know them by."""


class _Clips(BaseModel):
    """The value of `clips`."""

    model_config = ConfigDict(extra="forbid")

    offsets: tuple[Annotated[int, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)], ...]
    edge: Edge
    alignment: Alignment
    flow: FlowOptions


def read_window(metadata: dict[str, Any], num_frames: int) -> tuple[Window, FlowOptions]:
    """Return the window of a generator of `num_frames` frames, and what measures its flow.

    Raises ValueError for metadata without it, and for those that do not fit the network.
    """
    found = metadata.get("clips")
    if not isinstance(found, dict):
        raise ValueError(
            "expected `clips` (offsets, edge, alignment, flow), without which nobody knows what "
            f"frames the network sees, got {found!r}"
        )
    try:
        clips = _Clips.model_validate(found)
    except ValidationError as error:
        raise ValueError(f"clips: {describe_faults(error)}") from None
    offsets = clips.offsets
    if len(offsets) != num_frames - 1 or 0 in offsets or len(set(offsets)) < len(offsets):
        raise ValueError(
            f"clips.offsets: expected {num_frames - 1} different numbers other than 0, since the "
            f"network sees {num_frames} frames, got {list(offsets)}"
        )
    return Window(offsets, clips.edge, clips.alignment), clips.flow


def parse_flow(name: str) -> FlowOptions:
    """Return one of `FLOWS`, or RAFT small with the weights in the file of that name.

    Raises UserError where there is none.
    """
    if name in FLOWS:
        return FLOWS[name]
    if not Path(name).is_file():
        raise UserError(
            f"expected auto, {', '.join(FLOWS)} or a file of RAFT's weights, got {name}"
        )
    return RAFTOptions(type="RAFT", weights=Path(name))
