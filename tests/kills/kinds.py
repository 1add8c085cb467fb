"""The programs that are killed, on tiny inputs, and what must hold after a kill and at the end."""

import json
import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
import typer
import yaml
from helpers.clips import Tone, make_clip
from helpers.images import write_block_images
from helpers.runs import assert_equal

from sr.cli import convert, infer, train
from sr.inference.options import InferOptions, OutputOptions
from sr.inference.shards import Shard
from sr.inference.video.resume import locate_segments
from sr.inference.video_options import VideoOptions
from sr.io.canvas import allocate_canvas
from sr.io.model_file import read_model_file, write_model_file
from sr.io.rgb8 import write_rgb8
from sr.networks.compact import Compact
from sr.training.checkpoint import find_latest_state, read_state

Contents = dict[str, bytes]


class Kind(ABC):
    """A program. Its inputs lie in `inputs`; each case has a folder of its own for results."""

    name: str
    clears_up = True
    """Whether it catches SIGTERM, and then leaves nothing unfinished."""

    def __init__(self, inputs: Path) -> None:
        self.inputs = inputs
        self.model = inputs / "model.safetensors"

    def make_inputs(self) -> None:
        """Make them; in a process of its own, for forking after libvips has worked would hang."""
        self.inputs.mkdir()
        torch.manual_seed(0)
        metadata = {"generator": {"type": "Compact", "num_features": 16, "num_convs": 4}}
        weights = Compact(2, num_features=16, num_convs=4).state_dict()
        write_model_file(self.model, weights, {**metadata, "scale": 2, "receptive_radius": 6})

    @abstractmethod
    def run(self, folder: Path, *, resume: bool) -> object:
        """Do the work into `folder`, or go on with it."""

    def prepare(self, folder: Path) -> None:
        """Make `folder`, with what is there before the first run."""
        folder.mkdir()

    def find_finished(self, folder: Path) -> Contents:
        """Return the results that are there, by name; all of them must be whole."""
        return read_files(folder)

    def check_finished(self, finished: Contents, whole: Contents) -> None:
        """Refuse a result that is not that of an unbroken run."""
        for name, content in finished.items():
            assert whole[name] == content, f"{name} differs from that of an unbroken run"

    def check_end(self, folder: Path, unbroken: Path) -> None:
        """Refuse what differs from an unbroken run, or is litter."""
        assert list_names(folder) == list_names(unbroken), f"left: {list_names(folder)}"
        self.check_finished(self.find_finished(folder), self.find_finished(unbroken))


class Images(Kind):
    """A folder of images."""

    name = "images"

    def make_inputs(self) -> None:
        super().make_inputs()
        random = np.random.default_rng(0)
        (self.inputs / "images").mkdir()
        for number in range(16):
            pixels = random.integers(0, 256, (90, 120, 3), dtype=np.uint8)
            write_rgb8(self.inputs / "images" / f"{number}.png", pixels)

    def run(self, folder: Path, *, resume: bool) -> None:
        flags = ["--resume"] if resume else []
        infer.main(
            ["-i", str(self.inputs / "images"), "-o", str(folder), "-m", str(self.model), *flags]
        )


class HugeImage(Kind):
    """An image whose result is mapped to a file, as those above 256 MiB are."""

    name = "huge image"

    def make_inputs(self) -> None:
        super().make_inputs()
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (600, 800, 3), dtype=np.uint8)
        write_rgb8(self.inputs / "huge.png", pixels)

    def run(self, folder: Path, *, resume: bool) -> None:
        assert allocate_canvas.__kwdefaults__ is not None
        allocate_canvas.__kwdefaults__["max_in_memory"] = 0
        flags = ["--resume"] if resume else []
        source, target = str(self.inputs / "huge.png"), str(folder / "huge.tif")
        infer.main(["-i", source, "-o", target, "-m", str(self.model), "-t", "128", *flags])


class Video(Kind):
    """A video with sound, of short segments."""

    name = "video"

    def make_inputs(self) -> None:
        super().make_inputs()
        make_clip(self.inputs / "in.mp4", 60, size=(48, 64), sound=Tone(2.4))

    def run(self, folder: Path, *, resume: bool) -> None:
        video = VideoOptions(preset="ultrafast", frames_per_segment=5)
        output = OutputOptions(folder / "out.mp4", resume=resume)
        try:
            infer.upscale(
                InferOptions([self.inputs / "in.mp4"], output, model=str(self.model), video=video)
            )
        except typer.Exit as end:
            sys.exit(end.exit_code)

    def find_finished(self, folder: Path) -> Contents:
        """Return also the segments that the manifest lists."""
        segments = locate_segments(folder / "out.mp4")
        manifest = segments / "manifest.jsonl"
        lines = manifest.read_text().splitlines()[1:] if manifest.exists() else []
        names = [f"segment-{json.loads(line)['number']:05d}" for line in lines]
        return read_files(folder) | {name: (segments / name).read_bytes() for name in names}

    def check_finished(self, finished: Contents, whole: Contents) -> None:
        super().check_finished(
            {name: content for name, content in finished.items() if name in whole}, whole
        )


class Shards(Video):
    """Three shards at once, which share a video and have images of their own."""

    name = "shards"

    def make_inputs(self) -> None:
        super().make_inputs()
        random = np.random.default_rng(0)
        for number in range(6):
            pixels = random.integers(0, 256, (90, 120, 3), dtype=np.uint8)
            write_rgb8(self.inputs / f"{number}.png", pixels)

    def run(self, folder: Path, *, resume: bool) -> None:
        del resume  # the same command goes on
        children = [self._fork(folder, number) for number in (2, 3)]
        code = self._run_shard(folder, 1)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        sys.exit(code or next(filter(None, codes), 0))

    def _fork(self, folder: Path, number: int) -> int:
        child = os.fork()
        if child == 0:
            os._exit(self._run_shard(folder, number))
        return child

    def _run_shard(self, folder: Path, number: int) -> int:
        video = VideoOptions(preset="ultrafast", frames_per_segment=5)
        output = OutputOptions(folder, resume=True, suffix="")
        inputs = [self.inputs / "in.mp4", *self.inputs.glob("*.png")]
        shard = Shard(number, 3)
        try:
            infer.upscale(
                InferOptions(inputs, output, model=str(self.model), video=video, shard=shard)
            )
        except typer.Exit as end:
            return end.exit_code
        return 0

    def find_finished(self, folder: Path) -> Contents:
        """Return also the segments that are recorded, by their numbers."""
        segments = locate_segments(folder / "in.mp4")
        records = [json.loads(path.read_text()) for path in segments.glob("segment-*.json")]
        return read_files(folder) | {
            f"segment-{record['number']:05d}": (segments / record["file"]).read_bytes()
            for record in records
        }


class Training(Kind):
    """A training run with checkpoints and validation; the second one of two has a worker."""

    name = "training"
    num_workers = 0

    def make_inputs(self) -> None:
        super().make_inputs()
        write_block_images(self.inputs / "photos", 3)

    def run(self, folder: Path, *, resume: bool) -> None:
        del resume  # the same command goes on
        source = {"type": "HRFolders", "hr": [str(self.inputs / "photos")]}
        workers = {"num_workers": self.num_workers}
        tree = {
            "name": "tiny",
            "scale": 2,
            "generator": {"type": "Compact", "num_features": 8, "num_convs": 2},
            "losses": {"pixel": {"type": "L1"}},
            "datasets": {
                "train": {"source": source, "crop_size": 16, "batch_size": 2, **workers},
                "validation": [{"name": "same", "source": source}],
            },
            "train": {
                "steps": 30,
                "device": "cpu",
                "precision": "fp32",
                "optimizer": {"type": "AdamW", "learning_rate": 1e-3},
                "schedule": {"type": "cosine", "warmup_steps": 2},
                "checkpoint_interval": 4,
            },
            "validate": {"interval": 7},
            "log": {"folder": str(folder), "interval": 1},
        }
        options = self.inputs / f"{folder.name}.yml"
        options.write_text(yaml.safe_dump(tree))
        sys.argv = ["train.py", "-opt", str(options)]
        train.main()

    def find_finished(self, folder: Path) -> Contents:
        """Return the last checkpoint and the best model; all that are there must be whole."""
        checkpoints = folder / "tiny" / "checkpoints"
        for path in sorted(checkpoints.glob("[!.]*")):
            read_state(path) if path.suffix == ".state" else read_model_file(path)
        last = find_latest_state(checkpoints)
        if last is None:
            return {}
        log = (folder / "tiny" / "log.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in log]
        return {last.name: last.read_bytes()}

    def check_finished(self, finished: Contents, whole: Contents) -> None:
        """Leave the comparison to the end: earlier states are not kept."""

    def check_end(self, folder: Path, unbroken: Path) -> None:
        states: list[object] = []
        models: list[object] = []
        self.find_finished(folder)
        for each in (folder, unbroken):
            checkpoints = each / "tiny" / "checkpoints"
            state = read_state(checkpoints / "step_000000030.state")
            del state["options"], state["optimizer"]["param_groups"]
            states.append(state)
            models.append(read_model_file(checkpoints / "best.safetensors").state_dict)
        assert_equal(states[0], states[1])
        assert_equal(models[0], models[1])
        left, expected = (
            [name for name in list_names(each) if "tfevents" not in name and "step_" not in name]
            for each in (folder, unbroken)
        )
        assert left == expected, f"left: {left}"
        assert not [name for name in list_names(folder) if "/." in name]


class TrainingWithWorker(Training):
    """The same with a worker process, which is signalled too."""

    name = "training, worker"
    num_workers = 1


class Conversion(Kind):
    """sr-convert, which replaces an older file."""

    name = "conversion"
    clears_up = False

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        (folder / "out.pth").write_bytes(b"old")

    def run(self, folder: Path, *, resume: bool) -> None:
        del resume  # the same command begins again
        convert.main([str(self.model), str(folder / "out.pth"), "--overwrite"])

    def check_finished(self, finished: Contents, whole: Contents) -> None:
        assert finished["out.pth"] in (b"old", whole["out.pth"]), "out.pth is neither old nor new"

    def check_end(self, folder: Path, unbroken: Path) -> None:
        super().check_end(folder, unbroken)
        assert (folder / "out.pth").read_bytes() != b"old"


KINDS: tuple[type[Kind], ...] = (
    Images,
    HugeImage,
    Video,
    Shards,
    Training,
    TrainingWithWorker,
    Conversion,
)


def read_files(folder: Path) -> Contents:
    """Return the files that are not hidden."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.is_file()}


def list_names(folder: Path) -> list[str]:
    """Return the names of all files and folders, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
