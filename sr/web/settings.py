"""What the server is started with."""

from dataclasses import dataclass, field
from pathlib import Path

from sr.io.read_policy import DEFAULT_MAX_PIXELS
from sr.web.folders import AllowedFolders


@dataclass(frozen=True)
class Settings:
    """Addresses, limits and folders; the same for the page and the API."""

    folders: AllowedFolders
    work: Path
    """For uploads and their results; emptied when the server ends."""
    state: Path
    """For the list of runs of folders, which outlives the server."""
    host: str = "127.0.0.1"
    port: int = 7860
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    """Of the API; without one it is open, if no user is set, else closed."""
    device: str = "auto"
    runs: Path = Path("runs")
    """Where training runs are."""
    max_upload: int = 200_000_000
    """Bytes of one upload."""
    max_upload_pixels: int = 100_000_000
    """Of an uploaded image."""
    max_result_pixels: int = DEFAULT_MAX_PIXELS
    """Of a result: a size that is asked for."""
    max_waiting: int = 16
    """Runs in the queue."""
