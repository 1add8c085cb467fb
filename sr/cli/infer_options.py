"""The options of infer.py: names, forms and help texts."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from sr.inference.options import Extension, UsageError
from sr.io.model_file import ModelFileError
from sr.losses.lpips import LPIPS
from sr.models.bundled import DEFAULT, SMALL_DEFAULT, SMALL_FACTOR

INPUT, SIZE, NETWORK, RESULT, FILES = (
    "Input and output",
    "Size of the results",
    "How the network runs",
    "What the results are",
    "Files",
)

Inputs = Annotated[
    list[Path],
    typer.Option(
        "-i",
        "--input",
        metavar="PATH...",
        help="Images (PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF; 8 and 16 bit, gray, RGB, CMYK, with"
        " or without alpha), videos (MP4, MOV, MKV, WebM, AVI, ...), and folders of both. Takes"
        " several paths, and may be given several times. `-` alone: one image from standard"
        " input.",
        rich_help_panel=INPUT,
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        help="Folder for the results, made if it is missing; or a file (.png, .jpg, .webp, .tif,"
        " .avif; .mp4, .mkv, .webm) for one input; or `-` for standard output.",
        rich_help_panel=INPUT,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|FILE",
        help="A bundled model (see --list-models), or a file: of train.py; published weights (.pth,"
        " .safetensors, .ckpt) of Real-ESRGAN, BasicSR and whatever spandrel knows; .onnx with the"
        " extra `onnx`. `sr-info FILE` tells what a file is.",
        show_default=f"{DEFAULT}; {SMALL_DEFAULT} where -s is at most {SMALL_FACTOR:g}",
        rich_help_panel=INPUT,
    ),
]
Outscale = Annotated[
    float | None,
    typer.Option(
        "-s",
        "--outscale",
        metavar="FACTOR",
        help="Final enlargement, any number above 0. What the model's own scale, or passes of it,"
        " overshoots is shrunk (images: in linear light).",
        show_default="the model's",
        rich_help_panel=SIZE,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="Exactly this many pixels, width first; proportions are not kept.",
        rich_help_panel=SIZE,
    ),
]
LongSidePixels = Annotated[
    int | None,
    typer.Option(
        "--long-side",
        min=1,
        metavar="PIXELS",
        help="The longer side is to be so many pixels; proportions are kept.",
        rich_help_panel=SIZE,
    ),
]
TileSize = Annotated[
    str,
    typer.Option(
        "-t",
        "--tile",
        metavar="auto|PIXELS",
        help="Largest side of a tile in input pixels; smaller tiles take less memory, 0 takes the"
        " whole image at once. auto: what the free memory holds, measured with this network.",
        rich_help_panel=NETWORK,
    ),
]
Halo = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="PIXELS",
        help="Input pixels read around each tile; fewer than the network sees give seams.",
        show_default="as far as the network sees, at most 32",
        rich_help_panel=NETWORK,
    ),
]
ExactHalo = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Read around tiles as far as the network sees, even if that is more than 32 pixels.",
        rich_help_panel=NETWORK,
    ),
]
VerifyTiles = Annotated[
    bool,
    typer.Option(
        "--verify-tiles",
        help="Compute some tiles again with more around them, and tell the largest difference.",
        rich_help_panel=NETWORK,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="auto|fp32|bf16|fp16",
        help="Numbers to compute with. auto: bf16 (fp16 on older GPUs) where the device is made"
        " for it, else fp32. A tile that overflows is computed again in a wider one.",
        rich_help_panel=NETWORK,
    ),
]
Devices = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where to compute. auto: a GPU if there is one, else the CPU. Several, separated by"
        " commas, share the images.",
        rich_help_panel=NETWORK,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        metavar="auto|torch|onnxruntime|openvino",
        help="What runs the network; the last two on the CPU, with the extras `onnx` and"
        " `openvino`.",
        rich_help_panel=NETWORK,
    ),
]
Compiled = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile the network with torch.compile: a minute at the start, then faster; for many"
        " images.",
        rich_help_panel=NETWORK,
    ),
]
Tta = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Mean over eight flips and turns of the image (self-ensemble): eight times the work,"
        " a little better.",
        rich_help_panel=NETWORK,
    ),
]
AlphaMode = Annotated[
    str,
    typer.Option(
        "--alpha",
        metavar="model|bicubic|drop",
        help="Transparency: enlarged by the network, by bicubic interpolation, or left out.",
        rich_help_panel=RESULT,
    ),
]
FramesMode = Annotated[
    str,
    typer.Option(
        "--frames",
        metavar="refuse|each",
        help="Animations and files of several pages: refused, or each frame upscaled (into .webp"
        " or .tif).",
        rich_help_panel=RESULT,
    ),
]
Ext = Annotated[
    Extension,
    typer.Option(
        help="Format of the results; jpg, webp and avif are lossy. auto: the one of the output"
        " file, or png in a folder and on standard output.",
        rich_help_panel=RESULT,
    ),
]
Quality = Annotated[
    int,
    typer.Option(
        min=1, max=100, metavar="1..100", help="Of lossy formats.", rich_help_panel=RESULT
    ),
]
Lossless = Annotated[
    bool,
    typer.Option("--lossless", help="WebP and AVIF without loss.", rich_help_panel=RESULT),
]
Suffix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Put after the name of each input.",
        show_default="_x and the enlargement",
        rich_help_panel=FILES,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace results that exist.", rich_help_panel=FILES),
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing", help="Leave out inputs whose result exists.", rich_help_panel=FILES
    ),
]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive",
        help="Search the folders below too, and keep their layout.",
        rich_help_panel=FILES,
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="PIXELS",
        help="Images that claim to have more are refused: small files can hold endless pixels.",
        rich_help_panel=FILES,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Originals of the same names (an ending like _x4 of the input's name is left out):"
        " images; for videos and series of frames folders of frames, or videos. For one video"
        " also the folder, pattern or file of its frames itself. Prints PSNR and SSIM with a border"
        " of as many pixels as the scale left out, of videos also flicker and tOF, and saves them"
        " as scores.json next to the results. A video's frames are scored in 8 bits as they come"
        " out of the network: what the encoder loses does not count.",
        rich_help_panel=FILES,
    ),
]
Lpips = Annotated[
    str | None,
    typer.Option(
        "--lpips",
        metavar="torchvision|FILE",
        help="With --reference: LPIPS, too, by AlexNet with these weights: torchvision's, which are"
        " downloaded once, or a file with its keys.",
        rich_help_panel=FILES,
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Append one JSON line an event to this file.",
        rich_help_panel=FILES,
    ),
]


def loaded_lpips(weights: str | None, reference: Path | None, device: torch.device) -> LPIPS | None:
    """What --lpips asks for. Raises UsageError for weights that cannot be had."""
    if weights is None:
        return None
    if reference is None:
        raise UsageError("--lpips: needs --reference, the originals to compare with")
    try:
        lpips = LPIPS("AlexNet", "torchvision" if weights == "torchvision" else Path(weights))
    except ModelFileError as error:
        raise UsageError(f"--lpips: {error}") from None
    return lpips.to(device)
