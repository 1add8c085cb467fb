"""What monitoring reads: counts and sizes in the text format of Prometheus, version 0.0.4."""

from collections import Counter

import psutil

from sr.web.run_queue import RunQueue


def format_metrics(queue: RunQueue, answers: Counter[int]) -> str:
    """Return the metrics. answers: of the API, by status."""
    states = [f'{{state="{name}"}} {count}' for name, count in sorted(queue.num_by_state.items())]
    codes = [f'{{code="{code}"}} {count}' for code, count in sorted(answers.items())]
    memory = psutil.Process().memory_info().rss
    metrics = [
        ("sr_runs_total", "counter", "Runs that have ended", states),
        ("sr_runs_waiting", "gauge", "Runs in the queue", [f" {queue.num_waiting}"]),
        ("sr_runs_running", "gauge", "Runs being done", [f" {queue.num_running}"]),
        ("sr_busy_seconds_total", "counter", "Time in runs", [f" {queue.seconds_busy:.3f}"]),
        ("sr_api_requests_total", "counter", "Requests of the API by status", codes),
        ("sr_resident_memory_bytes", "gauge", "Memory of the server", [f" {memory}"]),
    ]
    lines: list[str] = []
    for name, kind, meaning, values in metrics:
        lines += [f"# HELP {name} {meaning}.", f"# TYPE {name} {kind}"]
        lines += [f"{name}{value}" for value in values]
    return "\n".join(lines) + "\n"
