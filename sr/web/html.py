"""Progress, results and tables as HTML; every text of a user or a file is escaped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup, escape

from sr.web.model_cards import ModelCard
from sr.web.queued_run import QueuedRun, TaskView

_WORDS = {
    "waiting": "Waiting",
    "running": "Running",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
    "interrupted": "Interrupted",
}


_NUM_ROWS = 100  # of files that failed, and of others


def format_seconds(seconds: float) -> str:
    """Return a duration in words: 0.8 s, 12 s, 3 min 5 s, 2 h 7 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def show_error(message: str) -> str:
    """Return a message in a box that screen readers announce."""
    return f'<div class="sr-error" role="alert">{escape(message)}</div>'


def show_status(run: QueuedRun, place: int, *, with_tasks: bool = True) -> str:
    """Return state, progress and time left, with errors. place: runs before this one.

    with_tasks: with the errors of single images too, which `show_tasks` has.
    """
    words = [_WORDS[run.state]]
    if run.state == "waiting":
        words.append(f"place {place + 1} in the queue")
    elif run.state == "running":
        if run.num_tasks > 1:
            words.append(f"{run.num_ended} of {run.num_tasks}")
        seconds_left = run.estimate_seconds_left()
        if seconds_left is not None:
            words.append(f"about {format_seconds(seconds_left)} left")
        if not run.num_tasks:
            words.append("loading the model")
    elif run.seconds is not None:
        words.append(format_seconds(run.seconds))
    bar = ""
    if run.state in ("waiting", "running"):
        value = round(100 * run.fraction)
        bar = f'<progress max="100" value="{value}" aria-label="Progress">{value} %</progress>'
    status = f'<div class="sr-status" role="status">{escape(", ".join(words))}</div>'
    messages = run.list_errors() if with_tasks else [run.error] if run.error else []
    errors = "".join(map(show_error, messages))
    notes = "".join(f'<div class="sr-note">{escape(note)}</div>' for note in run.notes)
    return f'<div data-state="{run.state}">{status}{bar}{errors}{notes}</div>'


def show_model(card: ModelCard) -> str:
    """Return what a card says, with its sample."""
    sample = ""
    if card.sample is not None:
        words = f"A part of a photograph, enlarged, and the result of {card.name} next to it"
        sample = f'<img src="samples/{card.sample.name}" alt="{escape(words)}" width="456">'
    return f'<p>{escape(card.describe())}</p><div class="sr-sample">{sample}</div>'


def show_results(run: QueuedRun) -> str:
    """Return links to the files of a run, with size and time."""
    items = []
    for number, task in sorted(run.tasks.items()):
        if task.output is None or not task.output.exists():
            continue
        link = _make_link(run, number, task.output, task.output.name)
        items.append(f"<li>{link} <span>{escape(_describe_result(task))}</span></li>")
    return f'<ul class="sr-results">{"".join(items)}</ul>' if items else ""


def show_runs(runs: Sequence[QueuedRun], places: Sequence[int]) -> str:
    """Return a table: a row per run of folders."""
    rows = [
        [
            ", ".join(path.name for path in run.options.inputs),
            str(run.options.output.path),
            _WORDS[run.state] + (f", place {place + 1}" if run.state == "waiting" else ""),
            f"{run.num_ended} of {run.num_tasks}" if run.num_tasks else "",
            _format_left(run),
        ]
        for run, place in zip(runs, places, strict=True)
    ]
    heads = ["Input", "Result", "State", "Ended", "Time left"]
    return _make_table("Runs", heads, rows) if rows else "<p>No runs yet.</p>"


def show_tasks(run: QueuedRun) -> str:
    """Return a table: a row per image or video of a run that has begun, the latest of many."""
    tasks = sorted(run.tasks.items())
    shown = [each for each in tasks if each[1].state == "failed"][:_NUM_ROWS]
    latest = [each for each in tasks if each[1].state != "failed"][-_NUM_ROWS:]
    rows = [
        [
            task.source.name,
            task.state,
            f"{100 * task.fraction:.0f} %" if task.state in ("running", "stopped") else "",
            "" if task.fps is None else f"{task.fps:.2f}",
            "" if task.seconds_left is None else format_seconds(task.seconds_left),
            _describe_end(run, number, task),
        ]
        for number, task in sorted(shown + latest)
    ]
    notes = []
    if len(tasks) > len(rows):
        notes.append(f"{len(tasks) - len(rows)} earlier ones are not shown.")
    if run.num_tasks > len(tasks):
        notes.append(f"{run.num_tasks - len(tasks)} more to do.")
    more = f"<p>{' '.join(notes)}</p>" if notes else ""
    heads = ["File", "State", "Progress", "Frames/s", "Time left", "Result or reason"]
    return _make_table("Files", heads, rows) + more if rows else ""


def _make_table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f'<div class="sr-scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _describe_end(run: QueuedRun, number: int, task: TaskView) -> str:
    """Return the error, or a link to the result: that of a page elsewhere cannot open its path."""
    if task.output is None or task.error is not None:
        return task.error or ""
    return _make_link(run, number, task.output, str(task.output))


def _make_link(run: QueuedRun, number: int, output: Path, text: str) -> Markup:
    address = f"results/{run.id}/{number}/{quote(output.name)}"
    return Markup('<a href="{}" download>{}</a>').format(address, text)


def _describe_result(task: TaskView) -> str:
    assert task.output is not None
    words = [] if task.size is None else [f"{task.size[0]} x {task.size[1]} pixels"]
    num_bytes = task.output.stat().st_size
    words.append(f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.0f} kB")
    if task.seconds is not None:
        words.append(format_seconds(task.seconds))
    return ", ".join(words)


def _format_left(run: QueuedRun) -> str:
    seconds = run.estimate_seconds_left()
    return "" if seconds is None else format_seconds(seconds)


def show_log(warnings: Sequence[str], lines: Sequence[Mapping[str, object]]) -> str:
    """Return the latest lines of a training log, and its warnings."""
    texts = [f"warning: {warning}" for warning in warnings]
    for line in lines:
        numbers = {name: value for name, value in line.items() if isinstance(value, int | float)}
        texts.append("  ".join(f"{name} {value:.5g}" for name, value in numbers.items()))
    return f'<pre class="sr-log" tabindex="0">{escape(chr(10).join(texts))}</pre>' if texts else ""
