"""Functions for gradio's own clients, with named parameters; docs/web.md has an example.

All else that the page does is hidden from them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from sr.errors import UserError
from sr.models.bundled import DEFAULT
from sr.web.application import Application
from sr.web.form import FORMATS, parse_choices
from sr.web.image_runs import Upload, start_images

_MAX_AT_A_TIME = 8
_NO_REQUEST: Any = None  # gradio gives one


def add_named_endpoints(application: Application) -> None:
    """Add /upscale and /models; within `gr.Blocks`."""
    names = [card.name for card in application.cards if not card.takes_clips]
    with gr.Row(visible=False):
        inputs = [
            gr.File(label="image", type="filepath"),
            gr.Dropdown(names, value=DEFAULT, label="model"),
            gr.Number(None, label="scale"),
            gr.Textbox(None, label="size"),
            gr.Number(None, label="long_side"),
            gr.Dropdown(list(FORMATS), value=FORMATS[0], label="format"),
            gr.Number(95, label="quality"),
        ]
        result = gr.File(label="result")
        gr.Button("upscale").click(
            _make_upscale(application),
            inputs,
            result,
            api_name="upscale",
            api_description="Upscale an image. At most one of scale, size (1920x1080), long_side.",
            concurrency_limit=_MAX_AT_A_TIME,
        )

    def list_models() -> list[dict[str, Any]]:
        return [dict(vars(card)) for card in application.cards]

    gr.api(list_models, api_name="models", api_description="The bundled models.")


def _make_upscale(application: Application) -> Callable[..., str]:
    def upscale(  # the names of its parameters are those of the endpoint
        image: str | None,
        model: str = DEFAULT,
        scale: float | None = None,
        size: str | None = None,
        long_side: float | None = None,
        format: str = FORMATS[0],  # noqa: A002
        quality: float = 95,
        request: gr.Request = _NO_REQUEST,
    ) -> str:
        fields = {"model": model, "scale": scale, "size": size, "long_side": long_side}
        try:
            choices = parse_choices({**fields, "format": format, "quality": quality})
            uploads = [] if image is None else [Upload(Path(image), Path(image).name)]
            owner = f"page {request.session_hash}"
            run = start_images(uploads, choices, owner, application.queue, application.settings)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        run.ended.wait()
        task = run.tasks.get(1)
        if task is None or task.output is None:
            message = "; ".join(run.list_errors()) or "the run was stopped"
            raise gr.Error(
                message.replace(f"{run.options.inputs[0].parent}/", ""), print_exception=False
            )
        return str(task.output)

    return upscale
