"""Time a multi-frame network per frame, ours against a naive implementation, as Markdown.

    python benchmarks/windows.py CLIP [--frames 7] [--rounds 5] [--raft]

CLIP is a folder of HR frames, of which LR is made by MATLAB's bicubic downscaling, x4. The network
is an untrained RBPN x4 with 64 features at low resolution and 8 at high, 1 stage and 2 residual
blocks, for windows of 3 and of 7 frames, in fp32.

- ours: the stages of the pipeline (`sr.inference.video`), sequentially: each frame is converted to
  RGB once, and flow is computed once between consecutive frames, in both directions; flow to
  farther frames is composed.
- naive: everything is done again for each window, as in the authors' code: each frame is converted,
  flow computed from the reference to each neighbor, and the decoder run after the last neighbor,
  although its result is unused.

Features cannot be shared between windows: those of a pair depend on reference, neighbor and flow,
and the same two frames are another pair in the next window.

Both process the same frames in turn, round by round, so that other load affects both equally; the
first round is a warm-up and not counted. --raft: also with RAFT small instead of DIS, with random
weights, which take the same time; their flow is discarded, and DIS is used.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.optical_flow import raft_small

from sr.data.imresize import imresize
from sr.inference.video.frame_windows import WindowStage
from sr.inference.video.stages import convert_to_rgb
from sr.io.rgb8 import image_to_tensor, read_rgb8, tensor_to_rgb8
from sr.io.video.frame import Color, Frame, Layout
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors, tensors_to_planes
from sr.memory import keep_freed_memory
from sr.motion.frame_window import Window, list_offsets
from sr.motion.methods import DIS, RGB8, Flow, FlowMethod
from sr.motion.raft import RAFT
from sr.networks.packed_window import PackedWindow, pack_window
from sr.networks.rbpn import RBPN
from sr.tiling.runner import prepare_network, run_network

CPU = torch.device("cpu")
SCALE = 4
WINDOWS = (3, 7)  # frames
LAYOUT = Layout("yuv", 8, (1, 1))
CONVERSION = Conversion(LAYOUT, Color(1, 1, 1, full_range=False), "left")

WindowSource = Callable[[], Iterator[Tensor]]
"""The packed windows of all frames, (1, 3 + 5n, h, w)."""


class SlowFlow:
    """Takes as long as RAFT small, and returns DIS's flow."""

    name = "RAFT small, untrained"

    def __init__(self) -> None:
        with tempfile.NamedTemporaryFile(suffix=".pth") as file:
            torch.save(raft_small(weights=None).state_dict(), file.name)
            self._raft = RAFT("small", Path(file.name), CPU)
        self._dis = DIS()

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        """a, b: (h, w, 3). Returns (h, w, 2)."""
        self._raft(a, b)
        return self._dis(a, b)


class WithLastDecoder(nn.Module):
    """RBPN with the decoder also run after the last neighbor."""

    def __init__(self, network: RBPN, num_features: int) -> None:
        super().__init__()
        self.window = PackedWindow(network)
        self.decoder = network.res_feat3
        network.output.register_forward_pre_hook(
            lambda _, given: self._decode(given[0][:, -num_features:])
        )

    def _decode(self, high: Tensor) -> None:
        self.decoder(high)

    def forward(self, window: Tensor) -> Tensor:
        """window: (1, 3 + 5n, h, w). Returns (1, 3, 4h, 4w)."""
        sr: Tensor = self.window(window)
        return sr


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=7, help="of the clip, from its start")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds")
    parser.add_argument("--raft", action="store_true", help="also with the time of RAFT")
    arguments = parser.parse_args()
    keep_freed_memory()
    frames = _frames(arguments.clip, arguments.frames)
    methods: dict[str, FlowMethod] = {"DIS": DIS()}
    if arguments.raft:
        methods["RAFT small"] = SlowFlow()
    height, width = frames[0].planes[0].shape
    sys.stdout.write(
        f"{len(frames)} frames of {width}x{height}, x{SCALE}, {torch.get_num_threads()} threads; "
        f"median of {arguments.rounds} rounds, s/frame\n"
        "| window, flow | implementation | windows | network | both | ratio |\n"
        "|---|---|---|---|---|---|\n"
    )
    for num_frames in WINDOWS:
        for name, method in methods.items():
            ways = _ways(frames, num_frames, method)
            sys.stdout.write(_rows(f"{num_frames} frames, {name}", ways, arguments.rounds))
            sys.stdout.flush()


def _frames(clip: Path, num_frames: int) -> list[Frame]:
    """Read frames and make LR, in the form of decoded frames."""
    frames = []
    for number, path in enumerate(sorted(clip.glob("*.png"))[:num_frames]):
        lr = imresize(read_rgb8(path), Fraction(1, SCALE))
        planes = tensors_to_planes(CONVERSION.from_rgb(image_to_tensor(lr)), LAYOUT)
        frames.append(Frame(number, number, 1, planes))
    if not frames:
        raise ValueError(f"{clip}: expected a folder of PNG files, got none")
    return frames


def _ways(
    frames: Sequence[Frame], num_frames: int, method: FlowMethod
) -> dict[str, Callable[[], tuple[float, float]]]:
    """Return functions that run once and give seconds per frame for windows and network."""
    torch.manual_seed(0)
    num_features = 8
    networks = [RBPN(SCALE, 64, num_features, 1, 2, num_frames) for _ in range(2)]
    ours = prepare_network(PackedWindow(networks[0]), CPU)
    naive = prepare_network(WithLastDecoder(networks[1], num_features), CPU)
    window = Window(list_offsets(num_frames, "time"))
    return {
        "naive": lambda: _time_passes(lambda: _naive(frames, window, method), naive),
        "ours": lambda: _time_passes(lambda: _ours(frames, window, method), ours),
    }


def _ours(frames: Sequence[Frame], window: Window, method: FlowMethod) -> Iterator[Tensor]:
    stage = WindowStage(window, method, [CPU], 1, lambda _: True)
    for batch in stage.pack(convert_to_rgb(frames, CONVERSION, [CPU], 1)):
        yield from batch.windows


def _naive(frames: Sequence[Frame], window: Window, method: FlowMethod) -> Iterator[Tensor]:
    for position in range(len(frames)):
        reference = _convert(frames[position])
        rgb8 = tensor_to_rgb8(reference)
        neighbors, flows = [], []
        for number in window.neighbors(position, 0, len(frames) - 1):
            neighbor = _convert(frames[number])
            neighbors.append(neighbor[0])
            flow = torch.zeros(2, *reference.shape[2:])  # the reference replaces a missing frame
            if number != position:
                flow = torch.from_numpy(method(rgb8, tensor_to_rgb8(neighbor))).permute(2, 0, 1)
            flows.append(flow)
        yield pack_window(reference, torch.stack(neighbors), torch.stack(flows))


def _convert(frame: Frame) -> Tensor:
    return CONVERSION.to_rgb(planes_to_tensors(frame.planes, CPU))


def _time_passes(source: WindowSource, network: nn.Module) -> tuple[float, float]:
    windows, passes = [], []
    mark = time.perf_counter()
    for window in source():
        made = time.perf_counter()
        run_network(network, window, torch.float32)
        windows.append(made - mark)
        mark = time.perf_counter()
        passes.append(mark - made)
    return statistics.mean(windows), statistics.mean(passes)


def _rows(label: str, ways: dict[str, Callable[[], tuple[float, float]]], num_rounds: int) -> str:
    """Format rows of the table, relative to the first."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_number in range(num_rounds + 1):
        for name, run in ways.items():
            latest = run()
            if round_number:
                taken[name].append(latest)
    whole = {name: statistics.median(map(sum, rounds)) for name, rounds in taken.items()}
    first = next(iter(whole.values()))
    rows = ""
    for name, rounds in taken.items():
        windows, network = (statistics.median(part) for part in zip(*rounds, strict=True))
        seconds = " | ".join(f"{part:.3f}" for part in (windows, network, whole[name]))
        rows += f"| {label} | {name} | {seconds} | {whole[name] / first:.2f} |\n"
    return rows


if __name__ == "__main__":
    main()
