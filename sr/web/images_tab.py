"""The tab for images: drop, choose a model and a size, preview a part, upscale all, download."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from sr.errors import UserError
from sr.io.image_formats import READABLE_SUFFIXES
from sr.models.bundled import DEFAULT
from sr.web.application import Application
from sr.web.crop_box import ShownImage, make_crop_box, parse_box, show_in_crop_box
from sr.web.form import FORMATS, Choices, parse_choices
from sr.web.html import show_error, show_model, show_results, show_status
from sr.web.image_runs import Upload, show_command, start_images, start_preview
from sr.web.previews import save_pair, save_preview
from sr.web.queued_run import ENDED, QueuedRun
from sr.web.uploads import check_upload
from sr.web.widgets import make_command_box, make_slider
from sr.web.work_folders import make_view_path

Updates = dict[Any, Any]
_SECONDS_BETWEEN = 0.3  # updates of the progress
SIZES = ("Scale", "Longer side", "Exact size")


class ImagesTab:
    """Components and what they do."""

    def __init__(self, application: Application) -> None:
        """Make the components; within `gr.Blocks`."""
        self._app = application
        cards = [card for card in application.cards if not card.takes_clips]
        self._cards = {card.name: card for card in cards}
        self.result_id = gr.State("")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.files = gr.File(
                    label="Images: drop, paste or choose; several at once",
                    file_count="multiple",
                    file_types=sorted(READABLE_SUFFIXES),
                    elem_id="sr-files",
                    height=150,
                )
                self.model = gr.Radio(
                    [(card.label, card.name) for card in cards],
                    value=DEFAULT,
                    label="Model, by purpose",
                )
                self.about = gr.HTML(self._describe(DEFAULT), elem_id="sr-about")
                self.kind = gr.Radio(SIZES, value=SIZES[0], label="Size of the result")
                self.scale = gr.Number(4, label="Scale", minimum=0, step=0.5)
                self.long_side = gr.Number(
                    2048, label="Longer side in pixels", precision=0, minimum=1, visible=False
                )
                self.size = gr.Textbox("1920x1080", label="Width x height in pixels", visible=False)
                with gr.Row():
                    self.format = gr.Dropdown(list(FORMATS), value=FORMATS[0], label="Format")
                    self.quality = gr.Slider(1, 100, 95, step=1, label="Quality (jpg, webp, avif)")
                with gr.Row():
                    self.preview = gr.Button("Preview a part", elem_id="sr-preview")
                    self.run = gr.Button("Upscale all", variant="primary", elem_id="sr-run")
                    self.stop = gr.Button("Stop", variant="stop", elem_id="sr-stop")
            with gr.Column(scale=3, min_width=320):
                self.chosen = gr.Dropdown([], label="Image shown", visible=False)
                self.shown = make_crop_box("sr-shown")
                self.status = gr.HTML("", elem_id="sr-status")
                self.slider = make_slider("Before and after", "sr-slider", max_height=600)
                self.results = gr.HTML("", elem_id="sr-results")
                self.command = make_command_box("sr-command", visible=False)
        self._connect()

    def _connect(self) -> None:
        """Connect the components with their functions."""
        fields = [self.model, self.kind, self.scale, self.long_side, self.size]
        fields += [self.format, self.quality]
        outputs = [self.status, self.slider, self.results, self.command, self.result_id]
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        slow = {**quick, "concurrency_limit": None, "trigger_mode": "once"}
        image = [self.chosen, self.shown, self.status, self.slider, self.results]
        self.files.change(self._show_files, [self.files], image, **quick)
        self.chosen.input(
            self._choose,
            [self.files, self.chosen, self.result_id],
            [self.shown, self.status, self.slider],
            **slow,
        )
        self.model.change(self._change_model, [self.model], [self.about, self.scale], **quick)
        self.kind.change(
            self._show_size, [self.kind], [self.scale, self.long_side, self.size], **quick
        )
        part = [self.files, self.chosen, self.shown, *fields]
        self.shown.select(self._preview, part, outputs, **slow)
        self.preview.click(self._preview, part, outputs, **slow)
        self.run.click(self._run, [self.files, self.chosen, *fields], outputs, **slow)
        self.stop.click(self._stop, None, None, queue=False, **quick)

    def _describe(self, model: str) -> str:
        return show_model(self._cards[model])

    def _change_model(self, model: str) -> tuple[str, int]:
        return self._describe(model), self._cards[model].scale

    def _show_size(self, kind: str) -> list[Any]:
        return [gr.update(visible=kind == each) for each in SIZES]

    def _show_files(self, files: list[str] | None) -> Updates:
        """Show the first image, or why it cannot be."""
        names = [Path(file).name for file in files or []]
        labels = [(name, number) for number, name in enumerate(names)]
        updates: Updates = {
            self.chosen: gr.update(
                choices=labels, value=0 if names else None, visible=len(names) > 1
            ),
            self.slider: gr.update(visible=False, value=None),
            self.results: "",
            self.status: "",
            self.shown: gr.update(visible=False),
        }
        if files:
            updates |= self._show_image(files[0])
        return updates

    def _choose(self, files: list[str], number: int, run_id: str) -> Updates:
        """Show another of the images, and its result if there is one."""
        updates = self._show_image(files[number])
        run = self._app.queue.find(run_id)
        if run is not None and len(run.options.inputs) == len(files):
            updates |= self._compare(run, number)
        return updates

    def _show_image(self, file: str) -> Updates:
        settings, name = self._app.settings, Path(file).name
        target = make_view_path(settings, Path(file), ".webp")
        try:
            header = check_upload(Path(file), name, settings)
            save_preview(Path(file), target)
        except UserError as error:
            hidden = gr.update(visible=False)
            return {self.status: show_error(_hide(str(error), file)), self.shown: hidden}
        shown = ShownImage(f"views/{target.name}", header.width, header.height)
        return {self.shown: show_in_crop_box(shown), self.status: ""}

    def _preview(
        self,
        request: gr.Request,
        files: list[str] | None,
        number: int | None,
        box: str,
        *values: Any,
    ) -> Iterator[Updates]:
        try:
            choices = make_choices(*values)
            upload = _make_uploads(files)[number or 0 : (number or 0) + 1]
            if not upload:
                raise UserError("expected an image to preview, got none: drop one first")
            run = start_preview(
                upload[0],
                choices,
                parse_box(box),
                _get_owner(request),
                self._app.queue,
                self._app.settings,
            )
        except UserError as error:
            yield {self.status: show_error(str(error))}
            return
        yield from self._follow(run)
        if run.state == "done":
            task = run.tasks[1]
            assert task.output is not None
            pair = save_pair(
                task.source,
                task.output,
                task.output.parent,
                max_pixels=self._app.settings.max_upload_pixels,
            )
            label = "Preview of a part: before and after"
            yield {self.slider: gr.update(value=tuple(map(str, pair)), visible=True, label=label)}

    def _run(
        self, request: gr.Request, files: list[str] | None, number: int | None, *values: Any
    ) -> Iterator[Updates]:
        uploads = _make_uploads(files)
        try:
            choices = make_choices(*values)
            run = start_images(
                uploads, choices, _get_owner(request), self._app.queue, self._app.settings
            )
        except UserError as error:
            yield {self.status: show_error(str(error))}
            return
        command = show_command([upload.name for upload in uploads], choices)
        yield {
            self.command: gr.update(value=command, visible=True),
            self.results: "",
            self.result_id: run.id,
            self.slider: gr.update(visible=False, value=None),
        }
        yield from self._follow(run)
        yield {self.results: show_results(run), **self._compare(run, number or 0)}

    def _follow(self, run: QueuedRun) -> Iterator[Updates]:
        """Yield the progress until the run has ended."""
        while True:
            has_ended = run.ended.wait(_SECONDS_BETWEEN)
            yield {self.status: show_status(run, self._app.queue.get_place(run))}
            if has_ended:
                return

    def _compare(self, run: QueuedRun, number: int) -> Updates:
        """Show a result next to its source, if it is there."""
        task = run.tasks.get(number + 1)
        if task is None or task.output is None or run.state not in ENDED:
            return {self.slider: gr.update(visible=False, value=None)}
        pair = save_pair(
            task.source,
            task.output,
            task.output.parent,
            max_pixels=self._app.settings.max_upload_pixels,
        )
        label = f"{task.output.name}: before and after"
        return {self.slider: gr.update(value=tuple(map(str, pair)), visible=True, label=label)}

    def _stop(self, request: gr.Request) -> None:
        self._app.queue.stop_all(_get_owner(request))


def make_choices(
    model: str, kind: str, scale: Any, long_side: Any, size: Any, extension: str, quality: Any
) -> Choices:
    """Make the choices of the components' values. Raises UsageError."""
    fields = {"model": model, "format": extension, "quality": quality}
    if kind == SIZES[0]:
        fields["scale"] = scale
    elif kind == SIZES[1]:
        fields["long_side"] = long_side
    else:
        fields["size"] = size
    return parse_choices(fields)


def _make_uploads(files: list[str] | None) -> list[Upload]:
    return [Upload(Path(file), Path(file).name) for file in files or []]


def _get_owner(request: gr.Request) -> str:
    return f"page {request.session_hash}"


def _hide(message: str, file: str) -> str:
    """Replace the server's path of an upload by its name."""
    return message.replace(file, Path(file).name)
