"""Find the originals that results are scored against."""

import re
from pathlib import Path

from sr.errors import UserError
from sr.evaluation.scores import ScoreError
from sr.io.find_files import find_images
from sr.io.image_formats import READABLE_SUFFIXES
from sr.io.video.formats import VIDEO_SUFFIXES, is_frames_pattern, split_pattern

_SCALE = re.compile(r"[_-]?[xX]\d+$")  # at the end of LR files' names


class References:
    """The originals of a folder, found by the names of what is upscaled; or one video's."""

    def __init__(self, given: Path) -> None:
        """given: a folder, or of one video a file or a pattern of frames' names.

        Raises UserError where there is no such thing.
        """
        self._given = given
        is_file = given.is_file() and given.suffix.lower() in VIDEO_SUFFIXES
        self.is_one_video = is_file or is_frames_pattern(given)
        """Not a folder, so not of several inputs, nor of images."""
        self._images: dict[str, list[Path]] = {}
        self._clips: dict[str, list[Path]] = {}
        if self.is_one_video:
            return
        if not given.is_dir():
            raise UserError(
                f"--reference {given}: expected a folder of original images or clips,"
                " or the file or frames of one video"
            )
        for path in find_images([given], recursive=False, suffixes=READABLE_SUFFIXES):
            self._images.setdefault(path.stem, []).append(path)
        for path in sorted(given.iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_dir():
                self._clips.setdefault(path.name, []).append(path)
            elif path.suffix.lower() in VIDEO_SUFFIXES:
                self._clips.setdefault(path.stem, []).append(path)

    def find_image(self, source: Path) -> Path:
        """Find the original of an LR image: `baby` for baby.png, babyx4.png and baby_x4.png.

        Raises ScoreError where there is none, or more than one.
        """
        names = _strip_scale([source.stem])
        return self._pick(self._images, names, "original")

    def find_clip(self, source: Path, *, is_only: bool) -> Path:
        """Find the original of a video: a folder of frames, a pattern of them or a video file.

        It has the name of the video, of the folder of its frames, or what stands before the
        numbers of their files. is_only: there is no other video; then the frames may lie in the
        folder itself, if nothing in it has such a name. Raises ScoreError as `find_image`.
        """
        if self.is_one_video:
            return self._given
        names = _strip_scale(_list_names(source))
        if is_only and self._images and not any(name in self._clips for name in names):
            return self._given
        return self._pick(self._clips, names, "folder or video of originals")

    def _pick(self, paths: dict[str, list[Path]], names: list[str], kind: str) -> Path:
        matches = next((paths[name] for name in names if name in paths), [])
        if len(matches) != 1:
            got = ", ".join(path.name for path in matches) or "none"
            raise ScoreError(
                f"expected one {kind} named {' or '.join(names)} in {self._given}, got {got}"
            )
        return matches[0]


def _list_names(source: Path) -> list[str]:
    if not is_frames_pattern(source):
        return [source.name if source.is_dir() else source.stem]
    before = split_pattern(source)[0].rstrip("_-. ")
    folder = source.resolve().parent.name
    return [name for name in (before, folder) if name]


def _strip_scale(names: list[str]) -> list[str]:
    """Return each name once; the full ones first."""
    return list(dict.fromkeys([*names, *(_SCALE.sub("", name) for name in names)]))
