"""Where this program keeps what it can make, or download, again."""

import os
import sys
from pathlib import Path


def find_cache_folder() -> Path:
    """Return the user's folder for it, which need not exist: SR_CACHE if that is set.

    Else sr below XDG_CACHE_HOME if that is set, else ~/.cache/sr, on macOS ~/Library/Caches/sr, on
    Windows %LOCALAPPDATA%/sr/cache.
    """
    if os.environ.get("SR_CACHE"):
        # Of a user that does not exist, Path.expanduser raises RuntimeError.
        return Path(os.path.expanduser(os.environ["SR_CACHE"])).absolute()
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):  # others are to be ignored, says the specification
        return Path(chosen) / "sr"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sr"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "sr" / "cache"
    return Path.home() / ".cache" / "sr"
