"""How much of sr a run goes through: functions, files and types, and the calls to the network.

    python benchmarks/call_path.py [--tree FOLDER] [--out RESULT.md]

Each run has a process of its own: one image of 200x150 without tiles, a video of four frames, two
steps of a GAN on a CPU. A profile hook in every thread records the functions of sr that are
entered (nested ones and lambdas too, comprehensions and modules not), the files they are in, and
the types of sr whose `__init__` or `__new__` runs in Python; what is done while modules are
imported does not count. Printed as Markdown, with the chain of calls from the command line to the
network's forward. --tree measures another checkout of this repository.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = {
    "image": "one image of 200x150, no tiles",
    "video": "four frames of a video",
    "gan": "two GAN steps",
}
NOT_COUNTED = {"<module>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
GAN_OPTIONS = """
name: call_path
scale: 4
generator: {type: Compact, num_features: 4, num_convs: 1}
discriminator: {type: UNet, num_features: 4}
losses:
  pixel: {type: L1, weight: 1.0}
  adversarial: {type: standard, weight: 0.1}
datasets:
  train:
    source: {type: HRFolders, hr: [IMAGES]}
    crop_size: 32
    batch_size: 2
    num_workers: 0
train:
  device: cpu
  precision: fp32
  steps: 2
  optimizer: {type: AdamW}
  schedule: {type: cosine}
  gan: {optimizer: {type: AdamW}}
log: {folder: RUNS}
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure each run in its own process and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout to measure")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--record", choices=tuple(RUNS), help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if parsed.record is not None:
        sys.stdout.write(json.dumps(record_run(parsed.record, parsed.tree.resolve())))
        return
    text = format_tables({run: measure_run(run, parsed.tree.resolve()) for run in RUNS})
    sys.stdout.write(text)
    if parsed.out is not None:
        parsed.out.write_text(text, encoding="utf-8")


def measure_run(run: str, tree: Path) -> dict[str, Any]:
    """Return what `record_run` gives in a process that imports sr from tree."""
    command = [sys.executable, __file__, "--record", run, "--tree", str(tree)]
    environment = {**os.environ, "PYTHONPATH": str(tree), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def record_run(run: str, tree: Path) -> dict[str, Any]:
    """Do one run with the hook on, and return its functions, files, types and chain of calls."""
    recorder = Recorder(tree / "sr")
    with tempfile.TemporaryDirectory() as name:
        start = {"image": prepare_image, "video": prepare_video, "gan": prepare_gan}[run](
            Path(name)
        )
        stop = recorder.start()
        try:
            start()
        except SystemExit as end:
            if end.code not in (None, 0):
                raise
        finally:
            stop()
    return {
        "functions": sorted(recorder.functions),
        "files": sorted({name.partition(":")[0] for name in recorder.functions}),
        "types": sorted(recorder.types),
        "chain": recorder.chain,
    }


def prepare_image(folder: Path) -> Callable[[], None]:
    """Write an image and return the command that upscales it."""
    import cv2
    import numpy as np

    from sr.cli.infer import main as infer

    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    cv2.imwrite(str(folder / "in.png"), pixels)
    return command_line(infer, infer_arguments(folder / "in.png", folder / "out.png"))


def prepare_video(folder: Path) -> Callable[[], None]:
    """Write a video of four frames and return the command that upscales it."""
    import av
    import numpy as np

    from sr.cli.infer import main as infer

    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), np.uint8)
    with av.open(folder / "in.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return command_line(infer, infer_arguments(folder / "in.mp4", folder / "out.mp4"))


def prepare_gan(folder: Path) -> Callable[[], None]:
    """Write an image and an option file, and return the command that trains two steps."""
    import cv2
    import numpy as np

    from sr.cli.train import main as train

    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    images = folder / "images"
    images.mkdir()
    cv2.imwrite(str(images / "0.png"), pixels)
    text = GAN_OPTIONS.replace("IMAGES", str(images)).replace("RUNS", str(folder / "runs"))
    (folder / "gan.yml").write_text(text, encoding="utf-8")
    return command_line(train, ["-opt", str(folder / "gan.yml")])


def infer_arguments(source: Path, result: Path) -> list[str]:
    """Return the arguments of infer.py, on a CPU and without tiles."""
    return ["-i", str(source), "-o", str(result), "-t", "0", "--device", "cpu"]


def command_line(main: Callable[[], object], arguments: list[str]) -> Callable[[], None]:
    """Return a call of main that finds its arguments where a program does."""

    def start() -> None:
        sys.argv = ["call_path", *arguments]
        main()

    return start


class Recorder:
    """A profile hook for all threads that remembers the functions and types of one package."""

    def __init__(self, package: Path) -> None:
        self.functions: set[str] = set()
        self.types: set[str] = set()
        self.chain: list[str] = []  # from the command line to the last forward of a network
        self._prefix = f"{package}{os.sep}"
        self._names: dict[str, str | None] = {}  # file of code -> its name within the package
        self._importing: set[int] = set()  # threads that are within an import of the package
        self._starts: dict[threading.Thread, list[str]] = {}  # chain that started the thread

    def start(self) -> Callable[[], None]:
        """Begin, and return what ends it."""
        start_thread = threading.Thread.start
        recorder = self

        def start_and_remember(thread: threading.Thread) -> None:
            recorder._starts[thread] = recorder._chain_to(sys._getframe(1))
            start_thread(thread)

        def stop() -> None:
            sys.setprofile(None)
            threading.setprofile(None)
            threading.Thread.start = start_thread  # type: ignore[method-assign]  # as it was

        threading.Thread.start = start_and_remember  # type: ignore[method-assign,assignment]  # until stop
        threading.setprofile(self._enter)
        sys.setprofile(self._enter)
        return stop

    def _enter(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if code.co_name == "<module>":
            self._note_import(frame, event)
            return
        if event != "call" or threading.get_ident() in self._importing:
            return
        if code.co_name in ("__init__", "__new__") and code.co_argcount:
            self._note_type(frame.f_locals.get(code.co_varnames[0]))
        name = self._name_of(code.co_filename)
        if name is None or code.co_name in NOT_COUNTED:
            return
        self.functions.add(f"{name}:{code.co_qualname}")
        if code.co_name == "forward" and name.startswith("networks/"):
            chain = self._chain_to(frame)
            if not any(part.startswith("networks/") for part in chain[:-1]):  # no inner layer
                self.chain = chain

    def _note_import(self, frame: FrameType, event: str) -> None:
        """Leave out what runs while a module is imported."""
        if self._name_of(frame.f_code.co_filename) is None:
            return
        if event == "call":
            self._importing.add(threading.get_ident())
        elif event == "return" and not self._imported_by_another(frame):
            self._importing.discard(threading.get_ident())

    def _imported_by_another(self, frame: FrameType) -> bool:
        outer = frame.f_back
        while outer is not None:
            if outer.f_code.co_name == "<module>" and self._name_of(outer.f_code.co_filename):
                return True
            outer = outer.f_back
        return False

    def _note_type(self, first: object) -> None:
        kind = first if isinstance(first, type) else type(first)
        if kind.__module__.startswith("sr."):
            self.types.add(f"{kind.__module__}.{kind.__qualname__}")

    def _chain_to(self, frame: FrameType | None) -> list[str]:
        """Return the functions of the package on the way to a frame, outermost first."""
        chain: list[str] = []
        while frame is not None:
            name = self._name_of(frame.f_code.co_filename)
            if name is not None and frame.f_code.co_name not in NOT_COUNTED:
                chain.append(f"{name}:{frame.f_code.co_qualname}")
            frame = frame.f_back
        return self._starts.get(threading.current_thread(), []) + chain[::-1]

    def _name_of(self, file: str) -> str | None:
        if file not in self._names:
            inside = file.startswith(self._prefix)
            self._names[file] = file.removeprefix(self._prefix) if inside else None
        return self._names[file]


def format_tables(results: dict[str, dict[str, Any]]) -> str:
    """Return the counts and the chain of the image as Markdown."""
    lines = [
        "| run | functions of sr entered | files | types of sr constructed |",
        "|---|---|---|---|",
    ]
    for run, result in results.items():
        counts = [str(len(result[kind])) for kind in ("functions", "files", "types")]
        lines.append(f"| {RUNS[run]} | {' | '.join(counts)} |")
    chain = results["image"]["chain"]
    runs = [place for place, part in enumerate(chain) if part.endswith(":run")]
    calls = len(chain) - 1 - runs[0] if runs else len(chain) - 1
    lines += ["", f"From `run` to the network: {calls} calls. From the command line:", ""]
    lines += [f"{place}. `{part}`" for place, part in enumerate(chain, 1)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
