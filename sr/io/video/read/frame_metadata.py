"""Read the side data of a frame: rotation, HDR, projection of 360 degree video."""

import re
import struct
from collections.abc import Iterable, Mapping
from typing import cast

import av
from av.sidedata.sidedata import SideData, SideDataContainer
from av.sidedata.sidedata import Type as Kind

from sr.io.video.frame import UNROTATED, Mastering
from sr.io.video.read.stream_side_data import SPHERICAL, STEREO

_FLAT = 0  # AVStereo3D's type of video that is not stereoscopic
# What holds for frames of any size too; other projections have borders in pixels.
_SCALABLE = re.compile(rf"({SPHERICAL}: (half )?equirectangular|{STEREO}: (?!inside)).*")
_HARMLESS = {
    SPHERICAL,
    STEREO,
    "Display Matrix",
    "CPB properties",
    "Mastering display metadata",
    "Content light level metadata",
}


def read_frame_side_data(frame: av.VideoFrame) -> dict[Kind, bytes]:
    """Return a frame's side data by kind; nothing where it has a kind that PyAV does not know.

    Not by `frame.side_data`, which refers to the frame and is kept by it: such frames live on, and
    their buffers too, until Python collects cycles.
    """
    try:
        # the stubs lack its argument
        side_data = cast(Iterable[SideData], SideDataContainer(frame))  # type: ignore[call-arg]
    except ValueError:
        return {}
    return {data.type: bytes(data) for data in side_data}


def parse_display_matrix(contents: Mapping[Kind, bytes]) -> tuple[int, ...] | None:
    """Return nine numbers of ISO/IEC 14496-12; None where frames show as they are."""
    if Kind.DISPLAYMATRIX not in contents:
        return None
    matrix = struct.unpack_from("=9i", contents[Kind.DISPLAYMATRIX])
    return None if matrix == UNROTATED else matrix


def parse_mastering(contents: Mapping[Kind, bytes]) -> Mastering | None:
    """Return HDR's static metadata, None where the mastering display is not known in full."""
    display = contents.get(Kind.MASTERING_DISPLAY_METADATA)
    if display is None:
        return None
    # AVMasteringDisplayMetadata: ten rationals and two flags
    *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", display)
    if not has_primaries or not has_luminance:
        return None
    values = [
        numerator / denominator if denominator else 0.0
        for numerator, denominator in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    light_levels = contents.get(Kind.CONTENT_LIGHT_LEVEL, bytes(8))
    max_content, max_average = struct.unpack_from("=2I", light_levels)
    return Mastering(
        primaries=tuple(zip(values[:8:2], values[1:8:2], strict=True)),
        min_luminance=values[8],
        max_luminance=values[9],
        max_content=max_content,
        max_average=max_average,
    )


def list_spatial(
    contents: Mapping[Kind, bytes], of_container: Mapping[str, str]
) -> tuple[str, ...]:
    """List what `VideoInfo.spatial` has. of_container: as `read_stream_side_data` returns it."""
    found = []
    if Kind.SPHERICAL in contents:
        found.append(f"{SPHERICAL}: {of_container.get(SPHERICAL, 'unknown')}")
    stereo = contents.get(Kind.STEREO3D)
    if stereo is not None and struct.unpack_from("=i", stereo)[0] != _FLAT:
        found.append(f"{STEREO}: {of_container.get(STEREO, 'inside the frames')}")
    return tuple(found)


def is_copyable(spatial: tuple[str, ...], of_container: Mapping[str, str]) -> bool:
    """Return what `VideoInfo.is_spatial_copyable` has."""
    return set(of_container) <= _HARMLESS and all(map(_SCALABLE.fullmatch, spatial))
