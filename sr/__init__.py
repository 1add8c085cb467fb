"""Image and video super-resolution: train from option files, upscale from the command line.

`from sr import Upscaler` is the way in from Python; see `sr.api`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sr.api import Upscaler

__all__ = ["Upscaler"]


def __getattr__(name: str) -> Any:
    """Upscaler when it is first asked for: importing it takes seconds, `import sr` none."""
    if name != "Upscaler":
        raise AttributeError(f"module 'sr' has no attribute {name!r}")
    from sr.api import Upscaler

    return Upscaler
