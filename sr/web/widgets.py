"""Parts that more than one tab of the page has."""

import gradio as gr


def make_slider(label: str, elem_id: str, max_height: int = 500) -> gr.ImageSlider:
    """Make the view of an image before and after, at most `max_height` CSS pixels high; hidden."""
    return gr.ImageSlider(
        label=label,
        type="filepath",
        format="webp",
        interactive=False,
        visible=False,
        buttons=["fullscreen"],
        elem_id=elem_id,
        max_height=max_height,
    )


def make_command_box(elem_id: str, *, visible: bool) -> gr.Textbox:
    """Make the box with the command line of a run, to copy."""
    return gr.Textbox(
        label="The same on the command line",
        buttons=["copy"],
        interactive=False,
        visible=visible,
        lines=2,
        elem_id=elem_id,
    )
