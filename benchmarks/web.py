"""sr-web as people and programs use it: time to a usable page, to a preview, 50 clients at once.

    python benchmarks/web.py [--clients 50] [--rounds 3] [--out RESULT.md]

A server of its own at a free port of this computer, the default model on the CPU. The page is
opened in Debian's Chromium by Playwright; without one only the clients are measured. Each client
sends small images of a gray level of its own, one after the other, and checks that the result is
its own. Memory is that of the server, from /metrics, after each round.
"""

import argparse
import io
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image
from provenance import as_markdown, provenance

ROOT = Path(__file__).resolve().parents[1]
PHOTOGRAPH = ROOT / "datasets" / "samples" / "oakland-zoo-otters.png"
CHROMIUM = Path("/usr/bin/chromium")
SERVE = "from sr.web.main import main; main()"
MODEL = "compact_tiny_x4"  # of the clients
SIDE = 24  # LR pixels
TIMEOUT = 300  # seconds


def main() -> None:
    """Print a table of all that was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=50, help="clients at a time")
    parser.add_argument("--rounds", type=int, default=3, help="images that each client sends")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    rows: list[tuple[str, str]] = []
    with serve(arguments.clients) as (address, started, program):
        rows.append(("command to address, s", f"{time.monotonic() - started:.1f}"))
        rows.append(("of that, CPU time of the server, s", f"{sum(program.cpu_times()[:2]):.1f}"))
        if CHROMIUM.exists():
            rows += measure_page(address, started)
        rows += measure_clients(address, arguments.clients, arguments.rounds)
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    text = f"{as_markdown(provenance(sys.argv))}\n| measured | result |\n|---|---|\n{table}\n"
    sys.stdout.write(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


@contextmanager
def serve(max_waiting: int) -> Iterator[tuple[str, float, psutil.Process]]:
    """Run sr-web; give its address, when it was started, and its process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        limits = ["--state", folder, "--max-waiting", str(max_waiting)]
        command = [sys.executable, "-c", SERVE, "--port", "0", "--folder", folder]
        started = time.monotonic()
        with subprocess.Popen(
            [*command, "--device", "cpu", *limits], env=environment, stdout=subprocess.PIPE
        ) as program:
            output: Any = program.stdout
            address = output.readline().split()[0].decode()
            yield address, started, psutil.Process(program.pid)
            program.send_signal(signal.SIGINT)


def measure_page(address: str, started: float) -> list[tuple[str, str]]:
    """Open the page, drop an image and preview it, twice; return rows of seconds."""
    from playwright.sync_api import sync_playwright

    rows = []
    with sync_playwright() as program:
        browser = program.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        opened = time.monotonic()
        page = browser.new_page(reduced_motion="reduce")
        page.set_default_timeout(1000 * TIMEOUT)
        page.goto(address)
        page.wait_for_selector("#sr-run")
        now = time.monotonic()
        rows.append(("command to usable page, browser's start left out, s", f"{now - started:.1f}"))
        rows.append(("of that, opening the page, s", f"{now - opened:.1f}"))
        for name in ("first", "second"):
            rows.append((f"drop to {name} preview, s", f"{preview(page):.1f}"))
            page.reload()
            page.wait_for_selector("#sr-run")
        browser.close()
    return rows


def preview(page: Any) -> float:
    """Drop the photograph and press the button; return the seconds until both halves are there."""
    started = time.monotonic()
    page.set_input_files("#sr-files input[type=file]", str(PHOTOGRAPH))
    page.wait_for_selector("#sr-shown img")
    page.click("#sr-preview")
    page.wait_for_selector("#sr-slider img")
    return time.monotonic() - started


def measure_clients(address: str, num_clients: int, num_rounds: int) -> list[tuple[str, str]]:
    """Let clients send images at the same time; return rows of their times and of memory."""
    send(address, 0)  # which loads the model
    seconds: list[float] = []
    memory = [read_memory(address)]
    started = time.monotonic()
    with ThreadPoolExecutor(num_clients) as threads:
        for _ in range(num_rounds):
            seconds += threads.map(lambda number: send(address, number), range(num_clients))
            memory.append(read_memory(address))
    elapsed = time.monotonic() - started
    seconds.sort()
    name = f"{num_clients} clients, {len(seconds)} images of {SIDE}x{SIDE} by {MODEL}"
    return [
        (f"{name}: own results", f"{len(seconds)}"),
        ("images per second", f"{len(seconds) / elapsed:.1f}"),
        ("median and longest wait, s", f"{statistics.median(seconds):.1f}, {seconds[-1]:.1f}"),
        ("memory before, and after each round, MB", ", ".join(f"{m / 1e6:.0f}" for m in memory)),
    ]


def send(address: str, number: int) -> float:
    """Send an image of a client's own level and check its result; return the seconds it took."""
    level = 5 * (number % 51)
    file = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE, 3), level, np.uint8)).save(file, "PNG")
    started = time.monotonic()
    answer = httpx.post(
        f"{address}/v1/images",
        files={"file": (f"{number}.png", file.getvalue())},
        data={"model": MODEL},
        timeout=TIMEOUT,
    )
    seconds = time.monotonic() - started
    answer.raise_for_status()
    with Image.open(io.BytesIO(answer.content)) as result:
        mean = float(np.asarray(result.convert("RGB"), np.float64)[8:-8, 8:-8].mean())
    name = f'filename="{number}_x4.png"'
    if abs(mean - level) > 12 or name not in answer.headers["content-disposition"]:
        raise RuntimeError(f"client {number}: expected its own result, got a level of {mean:.0f}")
    return seconds


def read_memory(address: str) -> float:
    """Return the resident bytes of the server."""
    text = httpx.get(f"{address}/metrics", timeout=TIMEOUT).text
    return float(re.findall(r"^sr_resident_memory_bytes (\d+)", text, re.MULTILINE)[0])


if __name__ == "__main__":
    main()
