"""The tab for folders and videos by path: a form, the list of runs, and the files of one."""

from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from sr.cli.format_arguments import format_command
from sr.errors import UserError
from sr.inference.options import Container
from sr.models.bundled import DEFAULT
from sr.web.application import Application
from sr.web.folder_runs import FolderRequest
from sr.web.folders import is_folder
from sr.web.form import FORMATS, parse_choices
from sr.web.html import show_error, show_runs, show_status, show_tasks
from sr.web.previews import split_frame
from sr.web.queued_run import QueuedRun
from sr.web.video_uploads import SUFFIXES, get_uploads_folder, keep_upload
from sr.web.widgets import make_command_box, make_slider
from sr.web.work_folders import make_view_path

Updates = dict[Any, Any]
EXISTING = [
    ("are kept; unfinished videos continue", "continue"),
    ("are replaced", "replace"),
    ("end the run before it begins", "refuse"),
]


class FoldersTab:
    """Components and what they do."""

    def __init__(self, application: Application) -> None:
        """Make the components; within `gr.Blocks`."""
        self._app = application
        folders = application.settings.folders.folders
        allowed = ", ".join(f"`{folder}`" for folder in folders)
        gr.Markdown(f"Files on this computer, in {allowed}. The option `--folder` allows others.")
        uploads = get_uploads_folder(application.settings)
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.inputs = gr.Textbox(
                    label="Folders, images and videos, one in a line", lines=2, elem_id="sr-inputs"
                )
                self.uploads = gr.File(
                    label=f"Or send videos and images: kept in {uploads}",
                    file_count="multiple",
                    file_types=sorted(SUFFIXES),
                    elem_id="sr-uploads",
                    height=150,
                )
                self.browse = gr.Dropdown(
                    self._list_entries(str(folders[0])),
                    label="Browse: a choice is added above",
                    allow_custom_value=True,
                    value=None,
                )
                self.output = gr.Textbox(
                    str(folders[0] / "upscaled"),
                    label="Folder, or for one input the file, of the results",
                    elem_id="sr-output",
                )
                self.model = gr.Dropdown(
                    [(card.label, card.name) for card in application.cards],
                    value=DEFAULT,
                    label="Model, by purpose",
                )
                with gr.Row():
                    self.scale = gr.Textbox("", label="Scale (empty: the model's)")
                    self.format = gr.Dropdown(
                        list(FORMATS), value=FORMATS[0], label="Format of images"
                    )
                    self.container = gr.Dropdown(
                        list(get_args(Container)), value="auto", label="Container of videos"
                    )
                self.existing = gr.Radio(EXISTING, value="continue", label="Existing results")
                with gr.Row():
                    self.recursive = gr.Checkbox(False, label="Subfolders too")
                    self.num_previews = gr.Number(
                        1,
                        label="Frames to compare, saved next to each video",
                        precision=0,
                        minimum=0,
                    )
                self.start = gr.Button("Start", variant="primary", elem_id="sr-start")
                self.message = gr.HTML("", elem_id="sr-message")
            with gr.Column(scale=3, min_width=320):
                self.table = gr.HTML("", elem_id="sr-runs")
                self.chosen = gr.Dropdown(
                    [],
                    label="Run shown",
                    allow_custom_value=True,  # of a page that shows a run that is gone
                    elem_id="sr-chosen",
                )
                with gr.Row():
                    self.stop = gr.Button("Stop this run", variant="stop", elem_id="sr-stop-run")
                    self.resume = gr.Button("Continue this run", elem_id="sr-resume")
                self.tasks = gr.HTML("", elem_id="sr-tasks")
                self.slider = make_slider("A frame before and after", "sr-frame-slider")
                self.shown_pair = gr.State(("", ""))
                self.command = make_command_box("sr-run-command", visible=True)
        self._connect()

    def connect_page(self, page: gr.Blocks) -> None:
        """Show the runs as the page is loaded, and each second from then on."""
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        shown = [self.chosen, self.shown_pair]
        outputs = [self.table, self.chosen, self.tasks, self.command, self.slider, self.shown_pair]
        page.load(self._refresh, shown, outputs, **quick)
        gr.Timer(1.0).tick(self._refresh, shown, outputs, trigger_mode="once", **quick)

    def _connect(self) -> None:
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        form = [self.inputs, self.output, self.model, self.scale, self.format, self.container]
        form += [self.existing, self.recursive, self.num_previews]
        changed = [self.message, self.chosen]
        self.browse.input(
            self._add,
            [self.inputs, self.browse],
            [self.inputs, self.browse, self.message],
            **quick,
        )
        self.uploads.upload(
            self._keep,
            [self.inputs, self.uploads],
            [self.inputs, self.uploads, self.message],
            **quick,
        )
        self.start.click(self._start, form, changed, **quick)
        self.stop.click(self._stop, [self.chosen], [self.message], queue=False, **quick)
        self.resume.click(self._resume, [self.chosen], changed, **quick)

    def _list_entries(self, folder: str) -> list[tuple[str, str]]:
        """Return a choice for each entry of a folder, and for the folder above it."""
        folders = self._app.settings.folders
        try:
            path, entries = folders.resolve(folder), folders.list_entries(folder)
        except (UserError, OSError):
            return []
        choices = [(f"{each.name}/" if each.is_dir() else each.name, str(each)) for each in entries]
        if path not in folders.folders:
            choices.insert(0, ("..", str(path.parent)))
        return choices

    def _add(self, inputs: str, entry: str | None) -> Updates:
        """Take a file or folder into the list; of a folder, show what is in it."""
        if not entry:
            return {self.inputs: inputs}
        try:
            shows_entries = is_folder(self._app.settings.folders.resolve(entry))
        except UserError as error:
            return {self.message: show_error(str(error)), self.browse: gr.update(value=None)}
        lines = [line for line in inputs.splitlines() if line.strip()]
        # Of a folder and what was then chosen in it only the latter is meant.
        lines = [line for line in lines if line != str(Path(entry).parent)]
        lines = lines if entry in lines else [*lines, entry]
        shown = entry if shows_entries else str(Path(entry).parent)
        return {
            self.inputs: "\n".join(lines),
            self.browse: gr.update(choices=self._list_entries(shown), value=None),
        }

    def _keep(self, inputs: str, files: list[str]) -> Updates:
        """Keep what was sent, and take it into the list."""
        lines, errors = inputs.splitlines(), []
        for file in map(Path, files):
            try:
                lines.append(str(keep_upload(file, file.name, self._app.settings)))
            except UserError as error:
                errors.append(show_error(str(error)))
            file.unlink(missing_ok=True)
        return {
            self.inputs: "\n".join(line for line in lines if line.strip()),
            self.uploads: None,
            self.message: "".join(errors),
        }

    def _start(self, inputs: str, output: str, *values: Any) -> Updates:
        model, scale, extension, container, existing, recursive, num_previews = values
        try:
            fields = {"model": model, "scale": scale, "format": extension}
            request = FolderRequest(
                inputs.splitlines(),
                output,
                parse_choices(fields),
                existing=existing,
                recursive=recursive,
                num_previews=int(num_previews or 0),
                container=container,
            )
            return self._show_chosen(self._app.folder_runs.start(request))
        except UserError as error:
            return {self.message: show_error(str(error))}

    def _resume(self, run_id: str | None) -> Updates:
        run = self._app.folder_runs.find(run_id)
        if run is None:
            return {self.message: show_error("expected a run to continue, got none")}
        try:
            return self._show_chosen(self._app.folder_runs.resume(run))
        except UserError as error:
            return {self.message: show_error(str(error))}

    def _stop(self, run_id: str | None) -> str:
        run = self._app.folder_runs.find(run_id)
        if run is not None:
            self._app.folder_runs.stop(run)
        return ""

    def _show_chosen(self, run: QueuedRun) -> Updates:
        choices = self._list_choices()
        return {self.message: "", self.chosen: gr.update(choices=choices, value=run.id)}

    def _list_choices(self) -> list[tuple[str, str]]:
        return [(_name_run(run), run.id) for run in self._app.folder_runs.runs]

    def _refresh(self, run_id: str | None, shown_pair: tuple[str, str]) -> Updates:
        runs = self._app.folder_runs.runs
        places = [self._app.queue.get_place(run) for run in runs]
        run = self._app.folder_runs.find(run_id) or (runs[0] if runs else None)
        updates: Updates = {self.table: show_runs(runs, places)}
        if run is None:
            return updates
        if run.id != run_id:
            updates[self.chosen] = gr.update(choices=self._list_choices(), value=run.id)
        place = self._app.queue.get_place(run)
        status = show_status(run, place, with_tasks=False)
        updates[self.tasks] = status + show_tasks(run)
        updates[self.command] = format_command(run.options)
        pair = self._find_frame(run)
        if pair != shown_pair:
            updates[self.shown_pair] = pair
            updates[self.slider] = gr.update(value=pair if pair[0] else None, visible=bool(pair[0]))
        return updates

    def _find_frame(self, run: QueuedRun) -> tuple[str, str]:
        """Return the files of the latest frame before and after; empty where there is none."""
        previews = [task.preview for _, task in sorted(run.tasks.items()) if task.preview]
        if not previews or not previews[-1].exists():
            return ("", "")
        target = make_view_path(self._app.settings, previews[-1], ".webp")
        before, after = split_frame(previews[-1], target)
        return (str(before), str(after))


def _name_run(run: QueuedRun) -> str:
    names = ", ".join(path.name for path in run.options.inputs)
    began = datetime.fromtimestamp(run.created).astimezone().strftime("%d %b %H:%M:%S")
    return f"{names} to {run.options.output.path.name}, {began}"
