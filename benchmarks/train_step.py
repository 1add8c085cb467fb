"""Time the training loop against the same step in a plain PyTorch loop.

    python benchmarks/train_step.py [-opt FILE] [--rounds 7] [--steps 10] [--gan]
        [KEY.SUB=VALUE ...]

Ours: `run_loop` as in train.py (loader with its worker, checks for finite values, clipping, EMA,
log). Plain: a DataLoader over the same crops, forward, loss, backward, optimizer. Blocks of steps
alternate; the first block of each is not counted. Images are noise. --gan adds a U-Net
discriminator with 32 features to both. Overrides change FILE, options/train/compact_x4.yml by
default; plain has L1 and the adversarial term only.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sr.build import build_generator
from sr.build_training import build_discriminator, build_optimizer
from sr.data.cache import SourceCache, fill_cache
from sr.data.sources import Pair
from sr.device import resolve_device, resolve_precision
from sr.io.rgb8 import write_rgb8
from sr.memory import keep_freed_memory
from sr.options.load import load_options
from sr.options.schema import Options
from sr.training.data_loader import (
    count_batches_per_step,
    find_sources,
    load_batches,
    load_crops,
)
from sr.training.distributed import make_accelerator
from sr.training.logging import RunLog
from sr.training.loop import run_loop
from sr.training.setup import make_loss, make_state, make_teacher

OPTION_FILE = Path(__file__).resolve().parents[1] / "options" / "train" / "compact_x4.yml"
GAN = (
    "discriminator={type: UNet, num_features: 32}",
    "losses.adversarial={type: standard, weight: 0.01}",
    "train.gan={optimizer: {type: AdamW}}",
)

Block = Callable[[int], None]  # runs so many steps


def main() -> None:
    """Print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-opt", type=Path, default=OPTION_FILE, help="of a run's options")
    parser.add_argument("--rounds", type=int, default=7, help="timed blocks of each")
    parser.add_argument("--steps", type=int, default=10, help="steps per block")
    parser.add_argument("--gan", action="store_true", help="with a discriminator")
    parser.add_argument("overrides", nargs="*", help="options, as for train.py")
    arguments = parser.parse_args()

    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = _options(folder, arguments.opt, arguments.overrides, arguments.gan)
        sources, _ = find_sources(options, resolve_device(options.train.device))
        pairs = fill_cache(sources, folder / "images.bin", 2**30)
        blocks = {"plain loop": _plain(options, pairs), "ours": _ours(options, pairs)}
        seconds: dict[str, list[float]] = {name: [] for name in blocks}
        for round_number in range(arguments.rounds + 1):
            for name, block in blocks.items():
                started = time.perf_counter()
                block(arguments.steps)
                if round_number:
                    seconds[name].append((time.perf_counter() - started) / arguments.steps)

    plain = statistics.median(seconds["plain loop"])
    data = options.datasets.train
    sys.stdout.write(
        f"{options.generator.type}, {data.batch_size} crops of {data.crop_size} px, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads, median (least) of "
        f"{arguments.rounds} blocks\n"
    )
    for name, values in seconds.items():
        median = statistics.median(values)
        sys.stdout.write(
            f"{name:12} {1000 * median:8.1f} ms per step ({1000 * min(values):.1f})  "
            f"ratio {median / plain:.3f}\n"
        )


def _options(folder: Path, file: Path, overrides: list[str], gan: bool) -> Options:
    rng = np.random.default_rng(0)
    for index in range(8):
        image = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
        write_rgb8(folder / f"{index}.png", image)
    own = [
        f"datasets.train.source={{type: HRFolders, hr: [{folder}]}}",
        "train.optimizer={type: AdamW}",
        "train.steps=1000000",
        *(GAN if gan else ()),
    ]
    return load_options(file, [*own, *overrides])


def _ours(options: Options, pairs: SourceCache[Pair]) -> Block:
    device = resolve_device(options.train.device)
    accelerator = make_accelerator(device, resolve_precision(options.train.precision, device))
    state, _ = make_state(options, accelerator, state_file=None)
    loss = make_loss(options, state, make_teacher(options), accelerator)
    log = RunLog(None, options.train.steps, first_step=1, interval=options.log.interval)
    batches = load_batches(options, pairs, accelerator, draws=0)

    def block(steps: int) -> None:
        run_loop(
            state,
            loss,
            batches,
            accelerator,
            log,
            steps=state.step + steps,
            batches_per_step=count_batches_per_step(options),
            batch_size=options.datasets.train.batch_size,
            seed=options.seed,
            max_nonfinite_steps=options.train.max_nonfinite_steps,
            validate_interval=options.validate_.interval,
            checkpoint_interval=options.train.checkpoint_interval,
            validate=lambda: True,
            save=lambda: None,
            interrupted=lambda: False,
        )

    return block


def _plain(options: Options, pairs: SourceCache[Pair]) -> Block:
    device = resolve_device(options.train.device)
    dtype = resolve_precision(options.train.precision, device)
    generator = build_generator(options.generator, options.scale).to(device)
    optimizer = build_optimizer(options.train.optimizer, generator)
    batches = _images(options, pairs, device)
    discriminator = None
    if options.discriminator is not None and options.train.gan is not None:
        crop_size = options.datasets.train.crop_size
        discriminator = build_discriminator(options.discriminator, crop_size).to(device)
        discriminator_optimizer = build_optimizer(options.train.gan.optimizer, discriminator)

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)

    def block(steps: int) -> None:
        for _ in range(steps):
            lr, hr = next(batches)
            with autocast():
                sr = generator(lr)
            loss = functional.l1_loss(sr.float(), hr)
            if discriminator is not None:
                discriminator.requires_grad_(False)
                with autocast():
                    logits = discriminator(sr)
                loss = loss + 0.01 * functional.softplus(-logits.float()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if discriminator is not None:
                discriminator.requires_grad_(True)
                with autocast():
                    d_hr, d_sr = discriminator(hr), discriminator(sr.detach())
                d_loss = functional.softplus(-d_hr.float()).mean()
                d_loss = d_loss + functional.softplus(d_sr.float()).mean()
                discriminator_optimizer.zero_grad()
                d_loss.backward()
                discriminator_optimizer.step()

    return block


def _images(
    options: Options, pairs: SourceCache[Pair], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    workers = options.datasets.train.num_workers
    for crop in load_crops(options, pairs, device, num_workers=workers):
        yield crop["lr"].to(device), crop["hr"].to(device)


if __name__ == "__main__":
    main()
