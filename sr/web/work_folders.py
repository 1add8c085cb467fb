"""Folders below `Settings.work`: of runs, which go with them, and of small images that are shown.

What a killed server has left of them is removed by the next one with the same list of runs.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

from sr.errors import UserError
from sr.io.process_lock import LockedError, hold_lock
from sr.web.settings import Settings

_KEPT_FOR = 24 * 3600.0  # seconds
_NUM_VIEWS = 200  # about 50 MB
_SECRET = token_bytes(32)
_PREFIX = "sr-web-"


@contextmanager
def hold_server_folders(state: Path) -> Iterator[Path]:
    """Keep other servers from the list of runs while inside, and give a temporary folder.

    state: folder of the list. Raises LockedError where another server has it, and UserError where
    it cannot be made.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{state}: cannot be made: {error.strerror}") from None
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(state))
        except LockedError as error:
            raise LockedError(f"{error}; --state FOLDER gives this one another") from None
        note = state / "work.txt"
        _remove_abandoned_work(note)
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX))
        note.write_text(work, encoding="utf-8")
        yield Path(work).resolve()


def make_work_folder(settings: Settings) -> Path:
    """Make a folder for one run, and remove those of yesterday."""
    settings.work.mkdir(parents=True, exist_ok=True)
    for old in settings.work.glob("run-*"):
        with suppress(FileNotFoundError):  # of a run that has just ended
            if time.time() - old.stat().st_mtime > _KEPT_FOR:
                shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=settings.work))


def make_view_path(settings: Settings, source: Path, suffix: str) -> Path:
    """Return where a small copy of a file as it is now belongs, and remove the oldest copies.

    Its name cannot be guessed. Files of one name in different folders have different ones, as have
    versions of one file.
    """
    folder = settings.work / "views"
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.iterdir(), key=_get_time, reverse=True)
    for old in files[_NUM_VIEWS:]:
        old.unlink(missing_ok=True)
    version = f"{source.resolve()}\n{_get_time(source)}"
    key = blake2b(version.encode(errors="surrogateescape"), key=_SECRET, digest_size=16).hexdigest()
    return folder / f"{key}{suffix}"


def _remove_abandoned_work(note: Path) -> None:
    """Remove the folder that a note names, if it is one of `hold_server_folders`."""
    with suppress(OSError, UnicodeDecodeError):
        work = Path(note.read_text(encoding="utf-8"))
        if work.name.startswith(_PREFIX) and work.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(work, ignore_errors=True)  # which follows no links


def _get_time(file: Path) -> int:
    """Return when a file was written; 0 of one that is gone."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
