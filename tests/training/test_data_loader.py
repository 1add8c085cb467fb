"""Batches of mixed sources, from options to crops."""

import multiprocessing
import signal
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch

from sr.build_data import find_training_sources
from sr.data.cache import fill_cache
from sr.options.schema import Options
from sr.training.data_loader import load_crops

CPU = torch.device("cpu")
PHOTOS = "{type: HRFolders, hr: [%s], hr_scale: [0.5, 1.0]}"
MIXED = (
    "datasets.train.source={type: Mixed, sources: [{share: 3, source: %s}, "
    "{share: 1, source: {type: Synthetic, text: 0}}]}"
)


@pytest.mark.parametrize(
    ("degradation", "num_workers"),
    [("null", 0), pytest.param("{type: Light}", 1, marks=pytest.mark.slow)],
)
def test_a_mixture_goes_on_where_it_was_left_with_or_without_workers(
    tiny_options: Callable[..., Options],
    photographs: Path,
    tmp_path: Path,
    degradation: str,
    num_workers: int,
) -> None:
    options = tiny_options(
        MIXED % (PHOTOS % photographs),
        f"datasets.train.degradation={degradation}",
        "datasets.train.detail_measure=residual",
    )
    sources = find_training_sources(options, torch.device("cpu"))
    assert len(sources) == 5  # four photographs, one source of endlessly many
    cached = fill_cache(sources, tmp_path / "cache.bin", 10**9)

    whole = list(islice(load_crops(options, cached, CPU, num_workers=0), 20))
    names = [name for crop in whole for name in crop["name"]]
    assert 0 < sum(name.startswith("synthetic") for name in names) < 30  # 15 of 60 are expected
    crops = load_crops(options, cached, CPU, num_workers=num_workers, first_batch=3, stride=2)
    rest = list(islice(crops, 2))
    workers = multiprocessing.active_children()
    assert len(workers) == num_workers
    for worker in workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a stop is for this process
            subprocess.run(["sh", "-c", f"kill -{number:d} {worker.pid}"], check=True)
    rest += islice(crops, 6)
    for worker in workers:
        worker.terminate()
        worker.join(60)
        assert worker.exitcode == 0
    for crop, other in zip(whole[3:19:2], rest, strict=True):
        assert crop["name"] == other["name"]
        assert torch.equal(crop["lr"], other["lr"])
        assert torch.equal(crop["hr"], other["hr"])
