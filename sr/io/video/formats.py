"""Names of video files, and of their frames as numbered files."""

import re
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts"),
        *(".m2ts", ".vob", ".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".y4m", ".h264", ".265", ".264"),
        *(".hevc", ".ivf", ".nut", ".asf", ".mjpeg", ".dv"),
    }
)
"""Of the files in a folder that are videos."""

MUXERS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's by the suffix of a result, in lower case."""

WRITABLE_CONTAINERS = frozenset(MUXERS)

CONTAINERS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".3gp"), "mp4"),
    ".webm": "webm",
}
"""What each suffix becomes in a folder of results; others become mkv, which holds anything."""

_RATIO_CODECS = frozenset({"h264", "hevc"})  # their headers hold the pixels' aspect ratio

_NUMBER = re.compile(r"%(?P<width>0\d+)?d")


def keeps_aspect_ratio(codec: str, suffix: str) -> bool:
    """Return whether a result can say that its pixels are not square.

    FFmpeg's Matroska muxer takes that from a field of its stream that PyAV cannot set, so only
    from codecs whose headers say it. codec: FFmpeg's name of the format, such as vp9.
    """
    return suffix.lower() == ".mp4" or codec in _RATIO_CODECS


def is_pattern(path: Path) -> bool:
    """Return whether a path stands for numbered files, as `frames/%05d.png` does."""
    return len(_NUMBER.findall(path.name)) == 1


def is_frames_pattern(path: Path) -> bool:
    """Return whether a path is a pattern, and not a file that has such a name."""
    return is_pattern(path) and not path.exists()


def split_pattern(pattern: Path) -> tuple[str, str]:
    """Return what a pattern's file names have before and after the number."""
    name = pattern.name
    start, end = next(_NUMBER.finditer(name)).span()
    return name[:start], name[end:]


def format_frame_path(pattern: Path, number: int) -> Path:
    """Return the file of one frame of a pattern."""
    name = _NUMBER.sub(lambda found: f"{number:{found['width'] or ''}d}", pattern.name)
    return pattern.with_name(name)


def list_frame_numbers(pattern: Path) -> list[int]:
    """List the numbers of a pattern's existing files, rising."""
    before, after = split_pattern(pattern)
    name = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    names = (path.name for path in pattern.parent.iterdir()) if pattern.parent.is_dir() else ()
    return sorted(
        int(found[1])
        for found in map(name.fullmatch, names)
        if found and found[0] == format_frame_path(pattern, int(found[1])).name
    )
