"""The folders that the page may read and write: paths that people type, checked."""

import re
from collections.abc import Sequence
from pathlib import Path

from sr.errors import UsageError, UserError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")  # http:, concat: of FFmpeg; C: is a drive
_MAX_SHOWN = 200  # entries of a folder


class FolderError(UserError):
    """A path outside of the folders that are allowed."""


class AllowedFolders:
    """Resolves paths, and refuses those that lead out of the given folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """folders: which must exist; else UsageError. Relative paths are of the first one."""
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"--folder {folder}: expected a folder")
        self.folders = tuple(folder.resolve() for folder in folders)

    def resolve(self, text: str) -> Path:
        """Return the absolute path, links followed. Raises FolderError."""
        text = text.strip().strip('"')
        if not text or "\0" in text:
            raise FolderError("expected the path of a file or folder, got nothing")
        if _ADDRESS.match(text):
            raise FolderError(f"{text}: expected a path on this computer, got an address")
        path = self._resolve_links(self.folders[0] / Path(text).expanduser(), text)
        if not any(path.is_relative_to(folder) for folder in self.folders):
            allowed = " or ".join(str(folder) for folder in self.folders)
            raise FolderError(f"{text}: expected a path in {allowed}; --folder allows others")
        return path

    def refuse_links_out(self, path: Path, *, recursive: bool) -> None:
        """Raise FolderError where a folder holds links to files outside of those allowed."""
        waiting, seen = [path] if is_folder(path) else [], {path.resolve()}
        while waiting:
            for each in waiting.pop().iterdir():
                if each.is_symlink():
                    self.resolve(str(each))
                if recursive and is_folder(each) and each.resolve() not in seen:
                    seen.add(each.resolve())  # linked folders are searched, too; circles once
                    waiting.append(each)

    def list_entries(self, text: str) -> list[Path]:
        """Return files and folders in a folder, folders first, hidden ones left out."""
        folder = self.resolve(text)
        if not folder.is_dir():
            raise FolderError(f"{text}: expected a folder")
        entries = [each for each in folder.iterdir() if not each.name.startswith(".")]
        entries.sort(key=lambda each: (not each.is_dir(), each.name.lower()))
        return entries[:_MAX_SHOWN]

    def _resolve_links(self, path: Path, text: str) -> Path:
        try:
            return path.resolve()
        except (OSError, RuntimeError) as error:  # a link to itself, or a name that is too long
            raise FolderError(f"{text}: cannot be found ({error})") from None


def is_folder(path: Path) -> bool:
    """Return whether it is one; False of what no file can be called."""
    try:
        return path.is_dir()
    except OSError:  # of a name that no file can have
        return False
