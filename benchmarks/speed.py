"""Measure networks, precisions, back ends and tile sizes relative to the peak of this machine.

    python benchmarks/speed.py [PART ...] [-o OUT] [--rounds 3] [--device auto] [--threads N]
        [-m MODEL ...] [--networks NAME ...] [--scale 4] [--size N] [--precision NAME ...]
        [--no-compile] [--tiles N ...] [--frames WxH ...]

Parts, all by default, some ten minutes on two cores:

- peak: the highest rate of 3x3 convolutions, in GFLOP/s.
- networks: each single-image generator and each bundled model, network only.
- precisions: fp32, bf16, fp16 through the engine.
- backends: torch, torch.compile, onnxruntime and OpenVINO through the engine.
- tiles: the engine at several tile sizes against a plain forward; with memory.
- video: frames per second of the bundled models; on CUDA also against plain torch and TensorRT.

All variants of a part are interleaved, and the first round is not counted (`speed_rounds.py`): ms
is the median per image, least ms the minimum. of peak: GFLOP/s relative to the peak in the same
precision, measured in the same rounds. Operations are those of convolutions and matrix products as
the network defines them, with a multiply-add as two; faster algorithms (Winograd) may exceed 1.

-o: writes OUT.md and OUT.csv, with provenance. -m: files, or names of bundled models. The code for
CUDA was written without a device and has not been run.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from provenance import provenance
from speed_engine import backends_part, fastest, precisions_part
from speed_networks import GENERATORS, networks_part
from speed_rounds import peak_rows
from speed_table import Table, save
from speed_tiles import tiles_part
from speed_video import video_part

from sr.device import resolve_device, resolve_precision
from sr.memory import keep_freed_memory
from sr.models.bundled import BUNDLED, choose_default_model
from sr.models.find_model import resolve_model

PARTS = ("peak", "networks", "precisions", "backends", "tiles", "video")
PACKAGES = ("onnxruntime", "openvino", "torch-tensorrt")
SIZES = {  # LR pixels a side of the square image
    "cpu": {"networks": 128, "precisions": 256, "backends": 256, "tiles": 640},
    "cuda": {"networks": 512, "precisions": 1024, "backends": 512, "tiles": 2048},
}
TILE_SIZES = (64, 128, 256, 512, 1024)
FRAMES = {"cpu": ["320x180", "640x360"], "cuda": ["960x540", "1280x720"]}


def main(command: Sequence[str] | None = None) -> None:
    """Measure the parts and print each when it is finished."""
    parser = _parser()
    arguments = parser.parse_args(command)
    keep_freed_memory()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    try:
        parts = _parts(arguments)
        if arguments.output is not None:
            Path(arguments.output).parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    facts = provenance(sys.argv if command is None else ["speed.py", *command], PACKAGES)
    tables = []
    for name in PARTS:
        if name in arguments.parts or "all" in arguments.parts:
            tables.append(parts[name]())
            sys.stdout.write(tables[-1].as_markdown() + "\n")
            sys.stdout.flush()
            if arguments.output is not None:
                save(tables, facts, arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", default=["all"], metavar="PART", help=f"{', '.join(PARTS)}, all"
    )
    parser.add_argument("-o", "--output", metavar="OUT", help="write OUT.md and OUT.csv")
    parser.add_argument("--rounds", type=_positive, default=3, help="timed rounds")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--threads", type=_positive, help="of torch; its own choice by default")
    parser.add_argument("-m", "--model", nargs="+", help="files, or names of bundled models")
    parser.add_argument(
        "--networks", nargs="+", default=list(GENERATORS), help=", ".join(GENERATORS)
    )
    parser.add_argument("--scale", type=int, default=4, choices=(2, 3, 4, 8), help="of networks")
    parser.add_argument("--size", type=_positive, help="side of the square image, LR pixels")
    parser.add_argument("--precision", nargs="+", help="of the part networks; fp32 and auto")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--tiles", type=_positive, nargs="+", default=TILE_SIZES, help="LR pixels")
    parser.add_argument("--frames", nargs="+", metavar="WxH", help="of the part video")
    return parser


def _parts(arguments: argparse.Namespace) -> dict[str, Callable[[], Table]]:
    """Return a function per part. Raises ValueError for unknown parts, networks or models."""
    for kind, got, known in (
        ("PART", arguments.parts, (*PARTS, "all")),
        ("--networks", arguments.networks, tuple(GENERATORS)),
    ):
        unknown = [name for name in got if name not in known]
        if unknown:
            raise ValueError(f"{kind}: expected {', '.join(known)}, got {', '.join(unknown)}")
    device = resolve_device(arguments.device)
    kind = "cuda" if device.type == "cuda" else "cpu"
    given = None if arguments.model is None else [resolve_model(each) for each in arguments.model]
    every = _bundled() if given is None else given
    some = given or [choose_default_model()]
    frames = [_size(text) for text in arguments.frames or FRAMES[kind]]
    names = arguments.precision or ["fp32", fastest(device)]
    precisions = list(dict.fromkeys(resolve_precision(name, device) for name in names))
    usual = {"device": device, "num_rounds": arguments.rounds}
    size = {part: arguments.size or side for part, side in SIZES[kind].items()}
    return {
        "peak": lambda: Table(
            "peak",
            "The fastest of several 3x3 convolutions, alone: the median of the rounds, the most, "
            "and which one it was in the first round.",
            peak_rows(precisions, **usual),
        ),
        "networks": lambda: networks_part(
            arguments.networks,
            arguments.scale,
            every,
            size=size["networks"],
            precisions=precisions,
            **usual,
        ),
        "precisions": lambda: precisions_part(some, size=size["precisions"], **usual),
        "backends": lambda: backends_part(
            some, size=size["backends"], compiled=not arguments.no_compile, **usual
        ),
        "tiles": lambda: tiles_part(
            some[0],
            size=size["tiles"],
            tile_sizes=arguments.tiles,
            num_threads=torch.get_num_threads(),
            **usual,
        ),
        "video": lambda: video_part(every, frames=frames, **usual),
    }


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text}")
    return int(text)


def _bundled() -> list[Path]:
    return [model.file for model in BUNDLED if model.file.is_file()]


def _size(text: str) -> tuple[int, int]:
    """WxH -> width, height."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ValueError(f"--frames: expected WxH, such as 320x180, got {text}")
    return int(width), int(height)


if __name__ == "__main__":
    main()
