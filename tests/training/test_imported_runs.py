"""Option files of BasicSR's and Real-ESRGAN's repositories, of the single-image kind, run here.

Written again from their keys, with the sizes that they have; only those that are tried are small.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.basicsr_files import ESRGAN, MSRRESNET, REAL_ESRGAN
from helpers.images import write_block_images
from spandrel.architectures.SwinIR import SwinIR

from sr.data.imresize import imresize
from sr.io.rgb8 import read_rgb8, write_rgb8
from sr.networks.edsr import EDSR
from sr.networks.rrdb import RRDBNet
from sr.networks.unet_discriminator import UNetDiscriminator
from sr.options.import_basicsr import import_basicsr
from sr.options.load import load_options
from sr.options.schema import Options
from sr.training.dry_run import dry_run

Tree = dict[str, Any]
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")


def make(base: str, scale: int, network: Tree, path: Tree | None = None, **changes: Any) -> Tree:
    """A file like the base, of another scale and network; `a__b` is b in the section a."""
    tree: Tree = yaml.safe_load(base)
    tree["scale"] = scale
    tree["datasets"]["train"]["gt_size"] = 48 * scale
    tree["network_g"] = network
    tree["path"] = {"pretrain_network_g": None, "strict_load_g": True, **(path or {})}
    for key, value in changes.items():
        section, *names = key.split("__")
        inner = tree
        for name in (section, *names)[:-1]:
            inner = inner[name]
        inner[(section, *names)[-1]] = value
    return tree


def edsr(scale: int, width: int, num_blocks: int, initial: str | None) -> Tree:
    network = {
        "type": "EDSR",
        "num_in_ch": 3,
        "num_out_ch": 3,
        "num_feat": width,
        "num_block": num_blocks,
        "upscale": scale,
        "res_scale": 0.1 if width == 256 else 1,
        "img_range": 255.0,
        "rgb_mean": [0.4488, 0.4371, 0.4040],
    }
    path = {"pretrain_network_g": initial, "strict_load_g": initial is None}
    steps = {"type": "MultiStepLR", "milestones": [200000], "gamma": 0.5}
    return make(MSRRESNET, scale, network, path, train__scheduler=steps, train__total_iter=300000)


def msrresnet(scale: int, **others: Any) -> Tree:
    network = {"type": "MSRResNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64}
    return {**network, "num_block": 16, "upscale": scale, **others}


def rrdbnet(scale: int, **others: Any) -> Tree:
    sizes = {"num_feat": 64, "num_block": 23, "num_grow_ch": 32}
    return {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "scale": scale, **sizes, **others}


def swinir(scale: int) -> Tree:
    network = {
        "type": "SwinIR",
        "upscale": scale,
        "in_chans": 3,
        "img_size": 48,
        "window_size": 8,
        "img_range": 1.0,
        "depths": [6, 6, 6, 6, 6, 6],
        "embed_dim": 180,
        "num_heads": [6, 6, 6, 6, 6, 6],
        "mlp_ratio": 2,
        "upsampler": "pixelshuffle",
        "resi_connection": "1conv",
    }
    return make(MSRRESNET, scale, network, model_type="SwinIRModel", datasets__train__gt_size=192)


def real(model: str, scale: int, path: Tree, **changes: Any) -> Tree:
    tree = make(REAL_ESRGAN, scale, rrdbnet(scale), path, model_type=model, **changes)
    if model == "RealESRNetModel":
        del tree["network_d"], tree["train"]["gan_opt"], tree["train"]["optim_d"]
        del tree["train"]["perceptual_opt"]
        tree["gt_usm"] = True
    return tree


NET = {"pretrain_network_g": "net_g.pth", "param_key_g": "params_ema", "strict_load_g": True}
BOTH = {**NET, "pretrain_network_d": "net_d.pth", "param_key_d": "params", "strict_load_d": True}
PAIRS = {
    "name": "pairs",
    "type": "RealESRGANPairedDataset",
    "dataroot_gt": "both",
    "dataroot_lq": "both",
    "meta_info": "pairs.txt",
    "io_backend": {"type": "disk"},
    "gt_size": 256,
    "use_hflip": True,
    "use_rot": False,
    "use_shuffle": True,
    "num_worker_per_gpu": 5,
    "batch_size_per_gpu": 12,
    "dataset_enlarge_ratio": 1,
    "prefetch_mode": None,
}
RCAN = {"type": "RCAN", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_group": 10}
RCAN |= {"num_block": 20, "squeeze_factor": 16, "upscale": 4, "res_scale": 1, "img_range": 255.0}
FILES: dict[str, Tree] = {
    "EDSR_Lx2": edsr(2, 256, 32, None),
    "EDSR_Lx3": edsr(3, 256, 32, "net_g.pth"),
    "EDSR_Lx4": edsr(4, 256, 32, "net_g.pth"),
    "EDSR_Mx2": edsr(2, 64, 16, None),
    "EDSR_Mx3": edsr(3, 64, 16, "net_g.pth"),
    "EDSR_Mx4": edsr(4, 64, 16, "net_g.pth"),
    "MSRResNet_x2": make(MSRRESNET, 2, msrresnet(2), NET, path__strict_load_g=False),
    "MSRResNet_x3": make(MSRRESNET, 3, msrresnet(3), NET, path__strict_load_g=False),
    "MSRResNet_x4": make(MSRRESNET, 4, msrresnet(4)),
    "MSRGAN_x4": make(ESRGAN, 4, msrresnet(4), NET, model_type="SRGANModel"),
    "RRDBNet_PSNR_x4": make(MSRRESNET, 4, rrdbnet(4)),
    "ESRGAN_x4": make(ESRGAN, 4, rrdbnet(4), NET),
    "RCAN_x2": make(MSRRESNET, 2, RCAN),  # of scale 4, in a file of scale 2
    "SwinIR_SRx2": swinir(2),
    "SwinIR_SRx4": swinir(4),
    "realesrnet_x2plus": real("RealESRNetModel", 2, NET),
    "realesrnet_x4plus": real("RealESRNetModel", 4, NET),
    "realesrgan_x2plus": real("RealESRGANModel", 2, NET),
    "realesrgan_x4plus": real("RealESRGANModel", 4, NET),
    "finetune_realesrgan_x4plus": real("RealESRGANModel", 4, BOTH),
    "finetune_realesrgan_x4plus_pairdata": real(
        "RealESRGANModel", 4, BOTH, datasets__train=PAIRS, high_order_degradation=False
    ),
}
SMALL_GAN = (
    "generator.num_features=8",
    "generator.num_blocks=1",
    "generator.num_growth=4",
    "discriminator.num_features=4",
    "losses.perceptual={type: VGG19, layers: {conv1_2: 1.0}, weights: random}",
)
SMALL: dict[str, Sequence[str]] = {  # overrides, for files that are tried
    "EDSR_Mx4": ("generator.num_features=8", "generator.num_blocks=1"),
    "RCAN_x2": (
        "generator.options.n_feats=16",
        "generator.options.n_resgroups=1",
        "generator.options.n_resblocks=1",
    ),
    "SwinIR_SRx2": (
        "generator.options.depths=[2]",
        "generator.options.num_heads=[2]",
        "generator.options.embed_dim=12",
    ),
    "realesrgan_x4plus": SMALL_GAN,
    "finetune_realesrgan_x4plus_pairdata": SMALL_GAN,
}


def convert(name: str, folder: Path, overrides: Sequence[str] = ()) -> Options:
    text = import_basicsr(yaml.safe_dump(FILES[name])).text
    (folder / "ours.yml").write_text(text, encoding="utf-8")
    return load_options(folder / "ours.yml", overrides)


@pytest.mark.parametrize("name", FILES)
def test_every_file_converts(name: str, tmp_path: Path) -> None:
    options = convert(name, tmp_path)
    assert options.scale == FILES[name]["scale"]
    given = FILES[name]["path"]["pretrain_network_g"]
    assert options.train.initial_generator == (None if given is None else Path(given))
    assert options.train.initial_partial == (not FILES[name]["path"]["strict_load_g"])
    assert options.generator.type != "BasicSR"  # which need not be installed


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the run: images below the names that the files have."""
    monkeypatch.chdir(tmp_path)
    for root in ("data", "five", "fourteen", "both"):
        (tmp_path / root / "lr").mkdir(parents=True)
        write_block_images(tmp_path / root / "hr", 2)
    (tmp_path / "pairs.txt").write_text("hr/image_0.png, lr/image_0.png\n")
    return tmp_path


def write_lr(data: Path, scale: int) -> None:
    for hr in data.glob("*/hr/*.png"):
        small = imresize(read_rgb8(hr), Fraction(1, scale))
        write_rgb8(hr.parent.parent / "lr" / hr.name, small)


INITIAL: dict[str, Callable[[], torch.nn.Module]] = {
    "EDSR_Mx4": lambda: EDSR(2, 8, num_blocks=1),  # of another scale
    "realesrgan_x4plus": lambda: RRDBNet(4, 8, 1, 4),
    "finetune_realesrgan_x4plus_pairdata": lambda: RRDBNet(4, 8, 1, 4),
}


@pytest.mark.parametrize("name", SMALL)
def test_what_is_converted_runs(name: str, data: Path) -> None:
    write_lr(data, FILES[name]["scale"])
    if name in INITIAL:
        torch.save({"params_ema": INITIAL[name]().state_dict()}, data / "net_g.pth")
        torch.save({"params": UNetDiscriminator(4).state_dict()}, data / "net_d.pth")
    options = convert(
        name,
        data,
        [
            *SMALL[name],
            "datasets.train.crop_size=16",
            "datasets.train.batch_size=1",
            "datasets.train.num_workers=0",
            "train.device=cpu",
            "train.precision=fp32",
        ],
    )
    lines: list[str] = []
    dry_run(options, lines.append)
    assert lines[0].startswith("data: images to train on 2, ")
    assert any(line.startswith("memory: ") for line in lines)


def test_weights_of_basicsrs_swinir_are_those_of_spandrels(data: Path) -> None:
    """The names in their files are those of the authors' code, which both have."""
    options = convert("SwinIR_SRx2", data, SMALL["SwinIR_SRx2"])
    assert options.generator.type == "Spandrel"
    network = SwinIR(upscale=2, **options.generator.options)
    names = set(network.state_dict())
    assert {"conv_first.weight", "patch_embed.norm.weight", "conv_after_body.weight"} <= names
    assert "layers.0.residual_group.blocks.0.attn.relative_position_bias_table" in names
