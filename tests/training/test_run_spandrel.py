"""Networks of spandrel's registry through our loop, and back through infer.py and spandrel."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.runs import find_model
from spandrel import ImageModelDescriptor, ModelLoader
from spandrel.architectures.SwinIR import SwinIR

from sr.errors import ModelFileError, UserError
from sr.models.convert import convert_model
from sr.models.describe import describe_model
from sr.models.load import load_generator
from sr.networks.spandrel_network import SpandrelGenerator
from sr.options.schema import Options
from sr.training import run
from sr.training.dry_run import dry_run

MakeOptions = Callable[..., Options]
SWINIR = (
    "generator={type: Spandrel, arch: SwinIR, options: {window_size: 4, depths: [1], "
    "embed_dim: 12, num_heads: [2], mlp_ratio: 2, upsampler: pixelshuffledirect}}"
)
HAT = (
    "generator={type: Spandrel, arch: HAT, options: {window_size: 4, depths: [1], embed_dim: 12, "
    "num_heads: [2], compress_ratio: 3, squeeze_factor: 4}}"
)
REALPLKSR = (
    "generator={type: Spandrel, arch: RealPLKSR, options: {dim: 8, n_blocks: 1, kernel_size: 5}}"
)
SHORT = ("train.steps=2", "train.checkpoint_interval=2", "validate.interval=2")
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")


@pytest.mark.parametrize(
    ("generator", "arch", "crop_size"),
    [(SWINIR, "SwinIR", 16), (HAT, "HAT", 18), (REALPLKSR, "RealPLKSR", 6)],
)
def test_a_trained_file_gives_the_same_here_and_in_spandrel(
    generator: str, arch: str, crop_size: int, tiny_options: MakeOptions, tmp_path: Path
) -> None:
    options = tiny_options(generator, *SHORT, f"datasets.train.crop_size={crop_size}")
    assert run.train(options)
    file = find_model(options, 2)
    loaded = load_generator(file)
    assert isinstance(loaded.network, SpandrelGenerator)
    assert loaded.architecture.startswith(arch)
    assert loaded.metadata["step"] == 2

    lr = torch.rand(1, 3, 9, 13)
    sr = loaded.network(lr).clamp(0, 1)
    assert sr.shape == (1, 3, 18, 26)
    convert_model(file, tmp_path / "theirs.pth")
    for path in (file, tmp_path / "theirs.pth"):
        theirs = ModelLoader().load_from_file(path)
        assert isinstance(theirs, ImageModelDescriptor)
        assert theirs.architecture.id in (arch, "PLKSR")
        with torch.no_grad():
            torch.testing.assert_close(theirs.eval()(lr), sr, atol=1e-6, rtol=0)
    convert_model(file, tmp_path / "ours.safetensors")
    assert torch.equal(load_generator(tmp_path / "ours.safetensors").network(lr).clamp(0, 1), sr)
    assert arch in describe_model(file)["network"]


def test_a_dry_run_names_the_network(tiny_options: MakeOptions) -> None:
    lines: list[str] = []
    dry_run(tiny_options(REALPLKSR), lines.append)
    assert lines[1].startswith("generator: RealPLKSR of spandrel x2, ")


def test_an_interrupted_run_goes_on(
    tiny_options: MakeOptions, stop_after: Callable[[int], run.CatchInterruption]
) -> None:
    options = tiny_options(REALPLKSR, *SHORT)
    assert not run.train(options, catch_interruption=stop_after(1))
    assert run.train(options)


def test_it_starts_from_published_weights(tiny_options: MakeOptions, tmp_path: Path) -> None:
    theirs = SwinIR(
        upscale=2,
        window_size=4,
        depths=[1],
        embed_dim=12,
        num_heads=[2],
        mlp_ratio=2,
        upsampler="pixelshuffledirect",
    )
    file = tmp_path / "theirs.pth"
    torch.save({"params_ema": theirs.state_dict()}, file)
    still = "train.optimizer={type: AdamW, learning_rate: 1e-12}"
    initial = f"train.initial_generator={file}"
    options = tiny_options(SWINIR, still, initial, *SHORT)
    assert run.train(options)
    for name, weight in load_generator(find_model(options, 2)).network.state_dict().items():
        torch.testing.assert_close(weight, theirs.state_dict()[name], msg=name)

    with pytest.raises(ModelFileError, match=r"theirs\.pth: expected weights of HAT, got .*SwinIR"):
        run.train(tiny_options("name=hat", HAT, initial, *SHORT))
    with pytest.raises(ModelFileError, match="expected a model of scale 4, got 2"):
        run.train(tiny_options("name=x4", "scale=4", SWINIR, initial, *SHORT))
    deeper = SWINIR.replace("[1]", "[2]")
    with pytest.raises(ModelFileError, match=r"its generator SwinIR with .*depths \[1\].* not fit"):
        run.train(tiny_options("name=deeper", deeper, initial, *SHORT))
    partial = tiny_options("name=part", deeper, initial, "train.initial_partial=true", *SHORT)
    assert run.train(partial)


def test_it_starts_from_its_own_file_with_defaults_written_out(tiny_options: MakeOptions) -> None:
    first = tiny_options(REALPLKSR, *SHORT)
    assert run.train(first)
    initial = f"train.initial_generator={find_model(first, 2)}"
    written = REALPLKSR.replace("dim: 8", "dim: 8, norm_groups: 4")
    assert run.train(tiny_options("name=second", written, initial, *SHORT))
    with pytest.raises(ModelFileError, match="expected a generator with dim 12, got 8"):
        run.train(tiny_options("name=third", REALPLKSR.replace("8", "12"), initial, *SHORT))


def test_a_mistake_is_reported_before_any_image_is_opened(
    tiny_options: MakeOptions, photographs: Path
) -> None:
    (photographs / "image_1.png").write_bytes(b"broken")
    options = tiny_options("generator={type: Spandrel, arch: HAT, options: {depth: [6]}}")
    for start in (run.train, lambda options: dry_run(options, print)):
        with pytest.raises(UserError, match=r"generator\.options\.depth: did you mean depths"):
            start(options)
    assert not (options.log.folder).exists()


def test_metadata_that_are_no_network_of_spandrel_are_refused(
    tiny_options: MakeOptions, tmp_path: Path
) -> None:
    from sr.io.model_file import read_model_file, write_model_file

    options = tiny_options(REALPLKSR, *SHORT)
    assert run.train(options)
    file = read_model_file(find_model(options, 2))
    generator = json.loads(json.dumps(file.metadata["generator"]))
    generator["options"]["n_blocks"] = 1_000_000
    write_model_file(
        tmp_path / "huge.safetensors", file.state_dict, {**file.metadata, "generator": generator}
    )
    with pytest.raises(ModelFileError, match=r"huge\.safetensors: its metadata and weights"):
        load_generator(tmp_path / "huge.safetensors")
