"""Runs whose inputs and results are in an object store, on an S3 server of this machine."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.models import write_compact
from helpers.object_store import start_store
from helpers.ray_cluster import list_on_cluster, read_results, start_cluster, start_infer

from sr.cli import infer
from sr.io.rgb8 import write_rgb8

pytest.importorskip("ray.data")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # of Ray and botocore


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with start_store(monkeypatch) as opened:
        yield opened


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Images, one of them no image, an archive, and a clip, some in a folder of their own."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(8):
        pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        write_rgb8(folder / ("sub" if number % 2 else "") / f"{number} a.png", pixels)
    (folder / "bad.png").write_bytes(b"no image")
    with zipfile.ZipFile(folder / "book.cbz", "w") as archive:
        archive.write(folder / "0 a.png", "page.png")
    make_clip(folder / "sub" / "clip.mp4", 8)
    return folder


def read_objects(store: Any, folder: str) -> dict[str, bytes]:
    return {key.removeprefix(f"{folder}/"): store.cat_file(key) for key in store.find(folder)}


def test_a_run_on_an_object_store_is_one_on_folders(
    store: Any, inputs: Path, tmp_path: Path
) -> None:
    store.put(f"{inputs}/", "bucket/in/", recursive=True)
    model = write_compact(tmp_path / "model.safetensors", 2)
    flags = ["-m", str(model), "--recursive", "--backend", "torch"]
    whole, log = tmp_path / "whole", tmp_path / "log.txt"
    assert start_infer(["-i", str(inputs), "-o", str(whole), *flags], log).wait() == 3
    with start_cluster(2) as cluster:
        on_cluster = [*flags, *list_on_cluster(cluster)]
        command = ["-i", "s3://bucket/in", "-o", "s3://bucket/out", *on_cluster]
        assert start_infer(command, log).wait() == 3, log.read_text()
        results = read_objects(store, "bucket/out")
        assert results == read_results(whole)
        assert len(results) == 10
        assert "s3://bucket/in/bad.png: expected an image" in log.read_text()
        store.rm_file("bucket/out/sub/clip_x2.mp4")
        assert start_infer([*command, "--skip-existing"], log).wait() == 3, log.read_text()
        assert "1 done, 9 skipped, 1 failed" in log.read_text()
        assert read_objects(store, "bucket/out") == results
        command = ["-i", "s3://bucket/in", "-o", str(tmp_path / "out"), *on_cluster]
        assert start_infer(command, log).wait() == 3, log.read_text()
        assert read_results(tmp_path / "out") == read_results(whole)


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["-i", "s3://bucket/in", "-o", "out"], 2, "s3://bucket/in: object stores need --cluster"),
        (["-i", "s3://bucket/none", "-o", "out", "--cluster", "ray"], 4, "no such file or folder"),
        (["-i", "s3://none/in", "-o", "out", "--cluster", "ray"], 4, "no such file or folder"),
        (
            ["-i", "s3://bucket/in", "-o", "s3://none/out", "--cluster", "ray"],
            2,
            "s3://none/out: cannot be written: The specified bucket does not exist",
        ),
        (
            ["-i", "s3://bucket/in", "-o", "s3://bucket/done", "--cluster", "ray"],
            2,
            "s3://bucket/done/a_x2.png already exists",
        ),
        (
            ["-i", "s3://bucket/in", "-o", "s3://bucket/in", "--cluster", "ray", "--suffix", ""],
            2,
            "would replace the input",
        ),
        (
            ["-i", "s3://bucket/in", "-o", "s3://bucket/frames.mp4", "--cluster", "ray"],
            2,
            "s3://bucket/in: expected a folder of this machine for the frames of a video",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    store: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    store.pipe_file("bucket/in/a.png", b"")
    store.pipe_file("bucket/done/a_x2.png", b"")
    model = write_compact(tmp_path / "model.safetensors", 2)
    with pytest.raises(SystemExit) as end:
        infer.main([*flags, "-m", str(model)])
    assert end.value.code == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors"]
