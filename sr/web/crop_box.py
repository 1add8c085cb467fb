"""The image that is shown with a box on it: the part to preview, dragged, or moved by keys.

The value of the component is the box in pixels of the image, "left,top,width,height". A press next
to the box puts it there, dragging from there draws a new one, and dragging the box moves it. Three
native sliders do the same by keys.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sr.errors import UsageError
from sr.web.previews import CROP_SIDE, MAX_CROP_SIDE, MIN_CROP_SIDE, Box

_HTML = """
<div class="area">
  <img src="${image}" alt="The image that is chosen" draggable="false">
  <div class="box" aria-hidden="true"></div>
</div>
<div class="moves">
  <label>From left <input type="range" name="left" min="0" max="100" step="1"></label>
  <label>From top <input type="range" name="top" min="0" max="100" step="1"></label>
  <label>Size <input type="range" name="side" min="${least}" max="${most}" step="8"></label>
</div>
"""
_FILES = Path(__file__).parent


@dataclass(frozen=True)
class ShownImage:
    """A small copy of an image, and the size of that image."""

    address: str
    width: int
    height: int

    @property
    def props(self) -> dict[str, str | int]:
        """What the template and the script read; an update has to name all of them."""
        return {
            "image": self.address,
            "full_width": self.width,
            "full_height": self.height,
            "least": MIN_CROP_SIDE,
            "most": MAX_CROP_SIDE,
        }


def make_crop_box(elem_id: str) -> gr.HTML:
    """Make the component; hidden until `show_in_crop_box`."""
    return gr.HTML(
        "0,0,1,1",
        html_template=_HTML,
        css_template=(_FILES / "crop_box.css").read_text(encoding="utf-8"),
        js_on_load=(_FILES / "crop_box.js").read_text(encoding="utf-8"),
        visible=False,
        elem_id=elem_id,
        **ShownImage("data:,", 1, 1).props,
    )


def show_in_crop_box(shown: ShownImage) -> Any:
    """Return the update that shows an image, with the box in its middle."""
    width, height = min(CROP_SIDE, shown.width), min(CROP_SIDE, shown.height)
    left, top = (shown.width - width) // 2, (shown.height - height) // 2
    return gr.HTML(f"{left},{top},{width},{height}", visible=True, **shown.props)


def parse_box(text: str | None) -> Box:
    """Parse the component's value. Raises UsageError."""
    try:
        left, top, width, height = (int(each) for each in (text or "").split(","))
    except ValueError:
        raise UsageError(f"expected left,top,width,height of a part, got {text!r}") from None
    return left, top, width, height
