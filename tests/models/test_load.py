"""Model files of any origin -> generators."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sr.build import build_generator
from sr.errors import ModelFileError
from sr.io.model_file import write_model_file
from sr.io.rgb8 import image_to_tensor, read_rgb8, tensor_to_rgb8
from sr.metrics.psnr import psnr
from sr.models.initial_weights import load_initial_weights
from sr.models.load import load_generator
from sr.networks.compact import Compact
from sr.networks.msrresnet import MSRResNet
from sr.networks.receptive_radius import MAX_RADIUS, measure_receptive_radius
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import SPAN
from sr.networks.srresnet import SRResNet
from sr.options.generator import (
    CompactOptions,
    DBPNOptions,
    EDSROptions,
    GeneratorOptions,
    RLFNOptions,
    RRDBNetOptions,
    SPANOptions,
    SRResNetOptions,
)

SMALL_COMPACT = {"type": "Compact", "num_features": 4, "num_convs": 2}
COMPACT = CompactOptions.model_validate(SMALL_COMPACT)
SRRESNET = SRResNetOptions(type="SRResNet", num_features=4, num_blocks=1)


def small_model(path: Path, network: nn.Module | None = None, **metadata: Any) -> Path:
    network = Compact(4, 4, 2) if network is None else network
    known = {"generator": SMALL_COMPACT, "scale": 4, "receptive_radius": 4}
    write_model_file(path, network.state_dict(), {**known, **metadata})
    return path


def test_a_generator_comes_back_from_its_model_file(tmp_path: Path) -> None:
    network = Compact(4, 4, 2)
    loaded = load_generator(small_model(tmp_path / "a.safetensors", network, step=12))
    assert (loaded.scale, loaded.receptive_radius) == (4, 4)
    assert loaded.metadata["step"] == 12
    lr = torch.rand(1, 3, 5, 6)
    assert torch.equal(loaded.network(lr), network(lr))
    assert not loaded.network.training
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())


def test_a_radius_that_the_file_does_not_have_is_measured(tmp_path: Path) -> None:
    path = small_model(tmp_path / "a.safetensors", receptive_radius=None)
    assert load_generator(path).receptive_radius == 4


@pytest.mark.parametrize(
    "metadata",
    [
        {"generator": {"type": "IMDN"}},
        {"generator": {**SMALL_COMPACT, "num_convs": 3}},
        {"generator": {**SMALL_COMPACT, "num_features": 5}},
        {"generator": {**SMALL_COMPACT, "color": "red"}},
        {"generator": {"type": "SRResNet"}},
        {"generator": None},
        {"scale": 2},
        {"scale": 5},
        {"scale": "four"},
        {"scale": None},
        {"receptive_radius": -1},
    ],
)
def test_metadata_that_do_not_fit_the_weights_are_refused_by_file(
    tmp_path: Path, metadata: dict[str, Any]
) -> None:
    path = small_model(tmp_path / "odd.safetensors", **metadata)
    with pytest.raises(ModelFileError, match=r"odd\.safetensors: its metadata and weights do not"):
        load_generator(path)


def test_metadata_without_a_generator_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    write_model_file(path, Compact(4, 4, 2).state_dict(), {"scale": 4})
    with pytest.raises(ModelFileError, match="generator"):
        load_generator(path)


def test_missing_and_additional_weights_are_refused_with_their_names(tmp_path: Path) -> None:
    weights = Compact(4, 4, 2).state_dict()
    weights["extra"] = weights.pop("body.0.bias")
    path = tmp_path / "odd.safetensors"
    write_model_file(path, weights, {"generator": SMALL_COMPACT, "scale": 4})
    with pytest.raises(ModelFileError) as caught:
        load_generator(path)
    assert "body.0.bias" in str(caught.value)
    assert "extra" in str(caught.value)


def test_initial_weights_are_taken_over(tmp_path: Path) -> None:
    theirs, ours = Compact(4, 4, 2), Compact(4, 4, 2)
    load_initial_weights(ours, small_model(tmp_path / "a.safetensors", theirs), COMPACT, scale=4)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_initial_weights_of_another_scale_or_network_are_refused_by_file(tmp_path: Path) -> None:
    path = small_model(tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match=r"a\.safetensors: expected a model of scale 2, got 4"):
        load_initial_weights(Compact(2, 4, 2), path, COMPACT, scale=2)
    with pytest.raises(ModelFileError, match=r"a\.safetensors: its generator .* does not fit"):
        load_initial_weights(SRResNet(4, 4, 1), path, SRRESNET, scale=4)


def test_initial_weights_that_were_trained_with_another_option_are_refused(tmp_path: Path) -> None:
    ours = EDSROptions(type="EDSR", num_features=4, num_blocks=1)
    theirs = ours.model_copy(update={"residual_scale": 0.1})  # which the weights do not show
    path, network = tmp_path / "a.safetensors", build_generator(ours, 2)
    small_model(path, network, generator=theirs.model_dump(), scale=2)
    load_initial_weights(network, path, theirs, scale=2)
    with pytest.raises(ModelFileError, match=r"residual_scale 1\.0, got 0\.1"):
        load_initial_weights(network, path, ours, scale=2)


def test_published_weights_make_the_generator_of_their_shapes(tmp_path: Path) -> None:
    network = MSRResNet(3, num_features=5, num_blocks=2).eval()
    path = tmp_path / "published.pth"
    torch.save({"params": {}, "params_ema": network.state_dict()}, path)
    loaded = load_generator(path)
    assert (loaded.scale, loaded.architecture) == (3, "MSRResNet")
    assert loaded.metadata["generator"]["num_features"] == 5
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())
    lr = torch.rand(1, 3, 5, 6)
    assert torch.equal(loaded.network(lr), network(lr))


def test_half_precision_weights_compute_in_fp32(tmp_path: Path) -> None:
    network = Compact(2, 4, 1).half()
    torch.save(network.state_dict(), tmp_path / "half.pth")
    loaded = load_generator(tmp_path / "half.pth").network
    assert loaded(torch.rand(1, 3, 4, 4)).dtype == torch.float32


@pytest.mark.parametrize(
    "options",
    [
        RRDBNetOptions(type="RRDBNet", num_features=8, num_blocks=1, num_growth=4),
        EDSROptions(type="EDSR", num_features=8, num_blocks=2),
        DBPNOptions(type="DBPN", num_shallow_features=8, num_features=6, num_stages=2),
    ],
)
def test_the_radius_of_published_weights_is_that_of_their_network(
    options: GeneratorOptions, tmp_path: Path
) -> None:
    network = build_generator(options, 2)
    torch.save(network.state_dict(), tmp_path / "published.pth")
    loaded = load_generator(tmp_path / "published.pth")
    assert loaded.receptive_radius == measure_receptive_radius(network)


def test_tiles_of_folded_networks_begin_at_multiples_of_the_folding(tmp_path: Path) -> None:
    for scale, multiple in ((1, 4), (2, 2), (4, 1)):
        path = tmp_path / f"x{scale}.pth"
        torch.save(RRDBNet(scale, 4, 1, 2).state_dict(), path)
        assert load_generator(path).size_multiple == multiple


def test_tiles_of_a_network_that_depends_on_the_size_of_the_image_are_discouraged(
    tmp_path: Path,
) -> None:
    torch.save(RLFN(2, 4, 1).state_dict(), tmp_path / "a.pth")
    loaded = load_generator(tmp_path / "a.pth")
    assert (loaded.tiling, loaded.receptive_radius) == ("discouraged", MAX_RADIUS)


def write_fused_span(path: Path, network: SPAN) -> None:
    """As NTIRE 2024 has it: no branches."""
    weights = network.state_dict().items()
    torch.save({name: x for name, x in weights if not re.search(r"\.(sk|conv)\.", name)}, path)


def test_span_of_fused_kernels_alone_computes_the_same(tmp_path: Path) -> None:
    network = SPAN(4, 4, 2).eval()
    write_fused_span(tmp_path / "fused.pth", network)
    loaded = load_generator(tmp_path / "fused.pth")
    assert loaded.architecture == "SPAN"
    assert loaded.metadata["generator"]["num_blocks"] == 2
    lr = torch.rand(1, 3, 7, 8)
    with torch.no_grad():
        assert torch.equal(loaded.network(lr), network(lr))


@pytest.mark.parametrize("partial", [False, True])
def test_training_starts_from_span_of_fused_kernels_alone(tmp_path: Path, partial: bool) -> None:
    options = SPANOptions(type="SPAN", num_features=4, num_blocks=2)
    theirs, ours = SPAN(4, 4, 2), SPAN(4, 4, 2)
    write_fused_span(tmp_path / "fused.pth", theirs)
    path = tmp_path / "fused.pth"
    assert load_initial_weights(ours, path, options, scale=4, partial=partial) == ()
    lr = torch.rand(1, 3, 7, 8)
    assert torch.equal(ours(lr), theirs(lr))


def test_initial_weights_for_another_range_of_values_are_refused(tmp_path: Path) -> None:
    torch.save(RLFN(2, 4, 1, value_range=255).state_dict(), tmp_path / "a.pth")
    options = RLFNOptions(type="RLFN", num_features=4, num_blocks=1)
    with pytest.raises(ModelFileError, match=r"a\.pth: .* does not fit: (?s:.*)value_range"):
        load_initial_weights(RLFN(2, 4, 1), tmp_path / "a.pth", options, scale=2)


def test_weights_that_lack_a_part_of_their_network_are_refused(tmp_path: Path) -> None:
    weights = RRDBNet(4, 4, 1, 2).state_dict()
    del weights["conv_last.bias"]
    torch.save(weights, tmp_path / "part.pth")
    with pytest.raises(
        ModelFileError, match=r"(?s)part\.pth: it looks like RRDBNet x4.*_last\.bias"
    ):
        load_generator(tmp_path / "part.pth")


def test_weights_of_an_unknown_network_are_refused_with_what_is_known(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.rand(3)}, tmp_path / "odd.pth")
    with pytest.raises(ModelFileError, match=r"odd\.pth: no known .* 1 weights \(a\.w.*SwinIR"):
        load_generator(tmp_path / "odd.pth")


def test_weights_of_an_unpublished_architecture_are_refused(shared_data: Path) -> None:
    with pytest.raises(ModelFileError, match=r"IMDN_x4\.pth: no known network has these 92"):
        load_generator(shared_data / "weights" / "IMDN_x4.pth")


def test_a_scale_that_the_network_does_not_have_is_refused_by_file(tmp_path: Path) -> None:
    tree = {"type": "RRDBNet", "num_features": 4, "num_blocks": 1, "num_growth": 2}
    weights = RRDBNet(4, 4, 1, 2).state_dict()
    write_model_file(tmp_path / "odd.safetensors", weights, {"generator": tree, "scale": 3})
    with pytest.raises(ModelFileError, match=r"odd\.safetensors: .* a scale of 1, 2, 4 or 8"):
        load_generator(tmp_path / "odd.safetensors")


def test_training_starts_from_published_weights(tmp_path: Path) -> None:
    theirs, ours = Compact(4, 4, 2), Compact(4, 4, 2)
    torch.save({"params": theirs.state_dict()}, tmp_path / "a.pth")
    load_initial_weights(ours, tmp_path / "a.pth", COMPACT, scale=4)
    assert torch.equal(ours.body[0].weight, theirs.body[0].weight)  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match="expected a model of scale 2, got 4"):
        load_initial_weights(Compact(2, 4, 2), tmp_path / "a.pth", COMPACT, scale=2)
    torch.save(SRResNet(2, 4, 1).state_dict(), tmp_path / "b.pth")
    with pytest.raises(ModelFileError, match="not the weights of a network that can be trained"):
        load_initial_weights(Compact(2, 4, 2), tmp_path / "b.pth", COMPACT, scale=2)


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("known", [True, False])
def test_without_basicsr_spandrel_reads_what_it_knows(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spandrel.architectures.SwinIR import SwinIR

    monkeypatch.setitem(sys.modules, "basicsr", None)
    monkeypatch.delitem(sys.modules, "basicsr.archs", raising=False)
    small = {"img_size": 64, "window_size": 8, "depths": [2], "embed_dim": 12, "num_heads": [2]}
    theirs = SwinIR(upscale=2, upsampler="pixelshuffledirect", **small).eval()
    network = theirs if known else SRResNet(2, 4, 1)
    path, generator = tmp_path / "a.safetensors", {"type": "BasicSR", "arch": "SwinIR"}
    write_model_file(path, network.state_dict(), {"generator": generator, "scale": 2, "step": 9})
    if not known:
        with pytest.raises(ModelFileError, match=r"a\.safetensors: .*BasicSR cannot be imported"):
            load_generator(path)
        return
    loaded = load_generator(path)
    assert (loaded.scale, loaded.metadata["step"]) == (2, 9)
    lr = torch.rand(1, 3, 16, 16)  # the least that spandrel does not pad
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(lr), theirs(lr).clamp(0, 1))


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("RealESRGAN_x4plus_anime_6B", 4),
        ("realesr-animevideov3", 4),
        ("srgan_iseebetter_x4", 4),
        ("srgan_iseebetter_x2", 2),
    ],
)
def test_the_published_files_load_and_keep_the_colors(
    name: str, scale: int, shared_data: Path
) -> None:
    loaded = load_generator(shared_data / "weights" / f"{name}.pth")
    assert loaded.scale == scale
    gray = torch.full((1, 3, 20, 20), 0.5)
    sr = loaded.network(gray)[..., 8 * scale : -8 * scale, 8 * scale : -8 * scale]
    assert (sr - 0.5).abs().max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published"),
    [("RLFN_x4", 32.24), ("RLFN_ntire_x4", 32.10), ("SPAN_ch28_NTIRE2024_x4", 31.74)],
)
def test_the_published_files_have_their_psnr_on_set5(
    name: str, published: float, shared_data: Path
) -> None:
    network = load_generator(shared_data / "weights" / f"{name}.pth").network
    folder = shared_data / "benchmarks" / "Set5"
    values = []
    for path in sorted((folder / "LR_x4").glob("*.png")):
        lr, hr = (image_to_tensor(read_rgb8(x)) for x in (path, folder / "HR" / path.name))
        sr = image_to_tensor(tensor_to_rgb8(network(lr)))
        values.append(psnr(sr[0], hr[0], border=4, channel="y"))
    assert len(values) == 5
    assert sum(values) / 5 == pytest.approx(published, abs=0.02)


def test_a_partial_start_takes_what_fits_and_names_the_rest(tmp_path: Path) -> None:
    theirs, ours = Compact(4, 4, 2), Compact(2, 4, 2)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    path = small_model(tmp_path / "a.safetensors", theirs)
    again = load_initial_weights(ours, path, COMPACT, scale=2, partial=True)
    assert again == ("body.6.weight", "body.6.bias")  # one value a subpixel
    for name, tensor in ours.state_dict().items():
        expected = before[name] if name in again else theirs.state_dict()[name]
        assert torch.equal(tensor, expected), name


def test_a_partial_start_of_span_reckons_with_its_branches_alone(tmp_path: Path) -> None:
    theirs, ours = SPAN(4, 4, 1, normalise=False), SPAN(2, 4, 1, normalise=False)
    options = {"type": "SPAN", "num_features": 4, "num_blocks": 1, "normalise": False}
    path = small_model(tmp_path / "a.safetensors", theirs, generator=options)
    span = SPANOptions.model_validate(options)
    again = load_initial_weights(ours, path, span, scale=2, partial=True)
    assert again == ("upsampler.0.weight", "upsampler.0.bias")


def test_a_partial_start_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    path = small_model(tmp_path / "a.safetensors", Compact(4, 4, 2))
    with pytest.raises(ModelFileError, match=r"a\.safetensors: no tensor fits .* body\.0\.weight"):
        load_initial_weights(SRResNet(4, 4, 1), path, SRRESNET, scale=4, partial=True)


def test_a_partial_start_takes_published_weights_too(tmp_path: Path) -> None:
    theirs, ours = Compact(4, 4, 2), Compact(2, 4, 2)
    torch.save({"params_ema": theirs.state_dict()}, tmp_path / "a.pth")
    again = load_initial_weights(ours, tmp_path / "a.pth", COMPACT, scale=2, partial=True)
    assert again == ("body.6.weight", "body.6.bias")
    assert torch.equal(ours.state_dict()["body.0.weight"], theirs.state_dict()["body.0.weight"])
