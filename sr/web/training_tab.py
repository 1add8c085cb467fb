"""The tab for training: curves of a run, its latest lines, time left, stop, check and start."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import gradio as gr
import pandas

from sr.errors import UserError
from sr.io.atomic_write import atomic_write
from sr.web.application import Application
from sr.web.html import format_seconds, show_error, show_log
from sr.web.training_runs import (
    TrainingLog,
    TrainingStarter,
    find_trainer,
    list_training_runs,
    read_training_log,
    read_validation_image,
    stop_training,
)
from sr.web.work_folders import make_view_path

Updates = dict[Any, Any]
_COLUMNS = ["step", "name", "value"]


class TrainingTab:
    """Components and what they do."""

    def __init__(self, application: Application) -> None:
        """Make the components; within `gr.Blocks`."""
        self._app = application
        self._runs = application.settings.runs
        self._starter = TrainingStarter(application.settings.state / "training")
        gr.Markdown(f"Runs of `train.py` in `{self._runs.resolve()}`.")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                with gr.Row():
                    self.chosen = gr.Dropdown(
                        [], label="Run", allow_custom_value=True, elem_id="sr-training-run"
                    )
                    self.show = gr.Button("Show", elem_id="sr-training-show")
                    self.stop = gr.Button("Save and stop", variant="stop")
                self.status = gr.HTML("", elem_id="sr-training-status")
                self.losses = _make_plot("Loss terms, unweighted")
                self.scores = _make_plot("Validation: PSNR of Y in dB")
                self.monitor = _make_plot("GAN monitor")
                self.image = gr.Image(
                    label="Latest validation image: bicubic, result, original",
                    interactive=False,
                    visible=False,
                    type="filepath",
                    buttons=["fullscreen"],
                )
                self.lines = gr.HTML("")
            with gr.Column(scale=2, min_width=320):
                self.file = gr.Textbox(
                    label="Option file", placeholder="options/train/compact_x4.yml"
                )
                with gr.Row():
                    self.check = gr.Button("Check")
                    self.start = gr.Button("Start or go on", variant="primary")
                self.message = gr.HTML("", elem_id="sr-training-message")
        self._connect()

    def connect_page(self, page: gr.Blocks) -> None:
        """List the runs as the page is loaded."""
        page.load(
            self._list_runs, None, [self.chosen], api_visibility="private", show_progress="hidden"
        )

    def _connect(self) -> None:
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        plots = [self.losses, self.scores, self.monitor]
        outputs = [self.status, *plots, self.image, self.lines]
        self.show.click(self._list_runs, None, [self.chosen], **quick).then(
            self._show, [self.chosen], [*outputs, self.message], **quick
        )
        self.chosen.input(self._show, [self.chosen], [*outputs, self.message], **quick)
        self.stop.click(self._stop, [self.chosen], [self.status], **quick)
        self.check.click(self._check, [self.file], [self.message], api_visibility="private")
        self.start.click(self._start, [self.file], [self.message], **quick)

    def _list_runs(self) -> Any:
        return gr.update(choices=list_training_runs(self._runs))

    def _show(self, name: str | None) -> Updates:
        failed = self._starter.list_failed()
        updates = {self.message: "".join(map(show_error, failed))} if failed else {}
        try:
            log = read_training_log(self._runs, name or "")
        except UserError as error:
            return {**updates, self.status: show_error(str(error))}
        terms, scores = log.select_curves("loss_"), log.select_scores()
        monitor = log.select_curves("health_")
        return {
            self.status: self._describe(log),
            self.losses: _fill_plot(terms),
            self.scores: _fill_plot(scores),
            self.monitor: _fill_plot(monitor),
            self.image: self._show_image(log.name),
            self.lines: show_log(log.warnings[-5:], log.progress[-5:]),
            **updates,
        }

    def _describe(self, log: TrainingLog) -> str:
        words = [f"step {log.step:,} of {log.steps:,}"]
        if log.is_finished:
            words.insert(0, "finished")
        elif find_trainer(self._runs, log.name) is None:
            words.insert(0, "not running")
        else:
            words.insert(0, "running")
            seconds = log.estimate_seconds_left()
            words += [] if seconds is None else [f"about {format_seconds(seconds)} left"]
        return f'<div class="sr-status" role="status">{escape(", ".join(words))}</div>'

    def _show_image(self, name: str) -> Any:
        content = read_validation_image(self._runs, name)
        if content is None:
            return gr.update(visible=False, value=None)
        target = make_view_path(self._app.settings, self._runs / name / "log.jsonl", ".png")
        with atomic_write(target) as file:
            file.write_bytes(content)
        return gr.update(visible=True, value=str(target))

    def _stop(self, name: str | None) -> str:
        try:
            stop_training(self._runs, name or "")
        except UserError as error:
            return show_error(str(error))
        return '<div class="sr-status" role="status">it saves a checkpoint and ends</div>'

    def _check(self, text: str) -> str:
        try:
            printed = self._starter.check(self._resolve(text))
        except TimeoutExpired as error:
            return show_error(f"{text}: the check took more than {error.timeout:.0f} s")
        except UserError as error:
            return show_error(str(error))
        return f'<pre class="sr-log" role="status">{escape(printed)}</pre>'

    def _start(self, text: str) -> str:
        try:
            log = self._starter.start(self._resolve(text))
        except UserError as error:
            return show_error(str(error))
        words = f"started; what it prints is in {log}"
        return f'<div class="sr-status" role="status">{escape(words)}</div>'

    def _resolve(self, text: str) -> Path:
        file = self._app.settings.folders.resolve(text)
        if not file.is_file() or file.suffix not in (".yml", ".yaml"):
            raise UserError(f"{text}: expected an option file (.yml)")
        return file


def _make_plot(label: str) -> gr.LinePlot:
    return gr.LinePlot(x="step", y="value", color="name", label=label, visible=False)


def _fill_plot(points: Sequence[tuple[int, str, float]]) -> Any:
    if not points:
        return gr.update(visible=False)
    return gr.update(value=pandas.DataFrame(points, columns=_COLUMNS), visible=True)
