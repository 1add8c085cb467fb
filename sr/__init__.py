"""Image and video super-resolution: train from option files, upscale from the command line.

`from sr import Upscaler` is the way in from Python; see `sr.api`. `suggest_model` names the bundled
model for a compressed or noisy file.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sr.api import Upscaler
    from sr.inference.suggest_model import suggest_model

__all__ = ["Upscaler", "suggest_model"]


def __getattr__(name: str) -> Any:
    """Import when it is first asked for: that takes seconds, `import sr` none."""
    if name == "suggest_model":
        from sr.inference.suggest_model import suggest_model

        return suggest_model
    if name != "Upscaler":
        raise AttributeError(f"module 'sr' has no attribute {name!r}")
    from sr.api import Upscaler

    return Upscaler
