"""Which names are those of videos, and of their frames as files."""

import re
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts"),
        *(".m2ts", ".vob", ".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".y4m", ".h264", ".265", ".264"),
        *(".hevc", ".ivf", ".nut", ".asf", ".mjpeg", ".dv"),
    }
)
"""Of files that are taken for videos in a folder."""

MUXERS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's by the suffix of a result, in lower case."""

WRITABLE_CONTAINERS = frozenset(MUXERS)

CONTAINERS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".3gp"), "mp4"),
    ".webm": "webm",
}
"""What becomes of a suffix in a folder of results; of the others mkv, which holds anything."""

_NUMBER = re.compile(r"%(?P<width>0\d+)?d")


def is_pattern(path: Path) -> bool:
    """Whether a path stands for numbered files, as `frames/%05d.png` does."""
    return len(_NUMBER.findall(path.name)) == 1


def split_pattern(pattern: Path) -> tuple[str, str]:
    """What a pattern's file names have before and behind the number."""
    name = pattern.name
    start, end = next(_NUMBER.finditer(name)).span()
    return name[:start], name[end:]


def format_frame_path(pattern: Path, number: int) -> Path:
    """The file of one frame of a pattern."""
    name = _NUMBER.sub(lambda found: f"{number:{found['width'] or ''}d}", pattern.name)
    return pattern.with_name(name)


def list_frame_numbers(pattern: Path) -> list[int]:
    """Of the files that a pattern stands for and that are there, rising."""
    before, after = split_pattern(pattern)
    name = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    names = (path.name for path in pattern.parent.iterdir()) if pattern.parent.is_dir() else ()
    return sorted(
        int(found[1])
        for found in map(name.fullmatch, names)
        if found and found[0] == format_frame_path(pattern, int(found[1])).name
    )
