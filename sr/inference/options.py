"""Every option of `infer.py`, declared once: name, type, default, help text and parser.

The command line is made from these classes (`sr.cli.flags`): a field's docstring is the help text
of its flag. Python callers construct them. What is wrong with the options alone is refused when
they are constructed. Nothing here imports torch or a codec, so that `infer.py --help` is quick.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from sr.errors import UsageError
from sr.inference.cluster_options import ClusterOptions
from sr.inference.flag import FILES, INPUT, MACHINES, NETWORK, RESULT, SIZE, VIDEO, Flag
from sr.inference.output_size import MAX_FACTOR, parse_size
from sr.inference.parse_flags import (
    parse_devices,
    parse_tile_size,
)
from sr.inference.shards import Shard, parse_shard
from sr.inference.texture_options import TextureOptions
from sr.inference.video_options import VideoOptions
from sr.io.object_path import ObjectPath, parse_place
from sr.io.read_policy import DEFAULT_MAX_PIXELS, AboveWhite

Alpha = Literal["model", "bicubic", "drop"]
Extension = Literal["auto", "png", "jpg", "webp", "tif", "avif"]
Container = Literal["auto", "mp4", "mkv", "webm"]
ResampleMethod = Literal["nearest", "bicubic"]

DEFAULT_RESAMPLING, MAX_RESAMPLING = 4, 16  # factors of --resample
STREAM = Path("-")  # standard input or output in a pipe
_DEFAULT_MODELS = "span_x4; span_x2 if -s is at most 2"  # of `sr.models.bundled`


@dataclass(frozen=True)
class OutputOptions:
    """Where results go, how large they are, and what they look like. size: (height, width)."""

    path: Annotated[Path, Flag(INPUT, "PATH", ("-o", "--output"))]
    """Folder for the results, created if it is missing; or, for one input, a file (.png, .jpg,
    .webp, .tif, .avif; .mp4, .mkv, .webm; .cbz, .zip) or `-` for standard output. With --cluster
    also s3:// and gs://."""
    outscale: Annotated[
        float | None, Flag(SIZE, "FACTOR", ("-s", "--outscale"), default="the model's")
    ] = None
    """Final scale, above 0, at most 1000. The network runs as often as needed, and its result is
    downscaled to this scale (images: in linear light)."""
    size: Annotated[tuple[int, int] | None, Flag(SIZE, "WxH", parse=parse_size)] = None
    """Exactly this size in pixels; the aspect ratio is not kept."""
    long_side: Annotated[int | None, Flag(SIZE, "PIXELS", min=1)] = None
    """Length of the longer side; the aspect ratio is kept."""
    alpha: Annotated[Alpha, Flag(RESULT)] = "model"
    """Alpha channel, of videos too: upscaled by the network, by bicubic interpolation, or
    dropped."""
    frames: Annotated[Literal["refuse", "each", "files"], Flag(RESULT)] = "refuse"
    """Animations and files with several pages: refused; each frame is upscaled into the same file
    (.webp or .tif); or each becomes a file of its own, NAME_p001_x4.png. Reduced copies in a TIFF
    do not count as pages."""
    page: Annotated[int | None, Flag(RESULT, "N", default="none", min=1)] = None
    """Upscale only this page or frame of a file with several, which may differ in size; 1 is the
    first."""
    ext: Annotated[Extension, Flag(RESULT)] = "auto"
    """Format of the results; jpg, webp and avif are lossy. auto: that of the output file; png in a
    folder and on standard output."""
    quality: Annotated[int, Flag(RESULT, "1..100", min=1, max=100)] = 95
    """Quality of lossy image formats."""
    lossless: Annotated[bool, Flag(RESULT)] = False
    """Lossless WebP and AVIF."""
    above_white: Annotated[
        AboveWhite | None, Flag(RESULT, default="refuse for OpenEXR, clip for float TIFF")
    ] = None
    """Values above 1 of OpenEXR and float TIFF: refused, cut off, or compressed by a curve from 0.8
    on."""
    suffix: Annotated[str | None, Flag(FILES, "TEXT", default="_x and the scale")] = None
    """Appended to the name of each input."""
    overwrite: Annotated[bool, Flag(FILES)] = False
    """Replace existing results."""
    skip_existing: Annotated[bool, Flag(FILES)] = False
    """Skip inputs whose result already exists."""
    recursive: Annotated[bool, Flag(FILES)] = False
    """Search subfolders too, and keep their layout."""
    container: Annotated[Container, Flag(VIDEO)] = "auto"
    """Container of videos if -o is a folder. auto: the source's if it is one of these, mp4 for
    .mov, else mkv, which supports everything."""
    resume: Annotated[bool, Flag(VIDEO)] = False
    """Continue interrupted videos after their last complete segment; finished ones are skipped."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", parse_place(self.path))
        sizes = {"-s": self.outscale, "--size": self.size, "--long-side": self.long_side}
        given = [name for name, value in sizes.items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)}: expected one of them")
        if self.outscale is not None and not 0 < self.outscale <= MAX_FACTOR:
            raise UsageError(
                f"-s {self.outscale:g}: expected a number above 0, at most {MAX_FACTOR:g}"
            )
        if self.page is not None and self.frames != "refuse":
            raise UsageError(f"--page and --frames {self.frames}: expected one of them, got both")
        if self.lossless and (self.ext == "jpg" or self.path.suffix.lower() in (".jpg", ".jpeg")):
            raise UsageError("--lossless: JPEG is always lossy; take webp, avif, png or tif")
        if self.overwrite and self.keeps_existing:
            other = "--skip-existing" if self.skip_existing else "--resume"
            raise UsageError(f"--overwrite and {other}: expected one of them, got both")

    @property
    def load_frames(self) -> Literal["refuse", "each"]:
        """What is done with several frames where they are read: `files` reads one at a time."""
        return "each" if self.frames == "each" else "refuse"

    @property
    def keeps_existing(self) -> bool:
        """Whether results that exist, and existing frames of an image sequence, are kept."""
        return self.skip_existing or self.resume


@dataclass(frozen=True)
class RuntimeOptions:
    """How the network runs."""

    precision: Annotated[str, Flag(NETWORK, "auto|fp32|bf16|fp16")] = "auto"
    """Precision of the network. auto: fp16 on NVIDIA GPUs with tensor cores and by Vulkan, bf16 on
    CPUs with native support, else fp32. A tile that overflows is computed again in a higher
    precision."""
    tile_size: Annotated[
        int | None,
        Flag(NETWORK, "auto|PIXELS", ("-t", "--tile"), default="auto", parse=parse_tile_size),
    ] = None
    """Largest side of a tile in input pixels; smaller tiles need less memory; 0: the whole image at
    once. auto: as large as the free memory allows, measured with this network."""
    halo: Annotated[
        int | None, Flag(NETWORK, "PIXELS", default="the receptive radius, at most 32", min=0)
    ] = None
    """Input pixels read around each tile; fewer than the network's receptive radius cause seams."""
    exact: Annotated[bool, Flag(NETWORK)] = False
    """Use a halo as wide as the receptive radius, even if that is more than 32 pixels."""
    verify_tiles: Annotated[bool, Flag(NETWORK)] = False
    """Compute some tiles again with a wider halo, and print the largest difference."""
    devices: Annotated[
        tuple[str, ...],
        Flag(
            NETWORK,
            "auto|cpu|cuda[:N]|mps|vulkan[:N]|openvino:NAME",
            ("--device",),
            default="auto",
            parse=parse_devices,
        ),
    ] = ("auto",)
    """Where to compute. auto: a GPU of CUDA or MPS if there is one, else the CPU. vulkan: GPUs of
    AMD, Intel, NVIDIA and Apple by ncnn, with the extra `ncnn`. openvino:GPU, openvino:NPU: those
    of Intel by OpenVINO, with the extra `openvino`. Several, separated by commas, share the images,
    or the tiles of one image. `sr-info --devices` lists them."""
    backend: Annotated[str, Flag(NETWORK, "auto|torch|onnxruntime|openvino|ncnn")] = "auto"
    """Runtime of the network. auto: for runs of a minute or more on a CPU the fastest of those that
    are installed, measured once for each network and remembered; else torch. onnxruntime and
    openvino run on the CPU (openvino also on --device openvino:NAME), ncnn by Vulkan or, slower
    than torch, on the CPU; each needs the extra of its name (`onnx` for onnxruntime)."""
    compile: Annotated[bool, Flag(NETWORK)] = False
    """Use torch.compile: a minute at the start, then faster; for many images."""
    tta: Annotated[bool, Flag(NETWORK)] = False
    """Average over eight flips and transposes of the image (self-ensemble): eight times the time,
    slightly better."""
    max_pixels: Annotated[int, Flag(FILES, "PIXELS", min=1)] = DEFAULT_MAX_PIXELS
    """Refuse images, and videos with frames, whose header declares more pixels: a small file can
    declare a huge image."""


@dataclass(frozen=True)
class InferOptions:
    """What one run of `infer.py` is to do."""

    inputs: Annotated[Sequence[Path], Flag(INPUT, "PATH...", ("-i", "--input"))]
    """Images (PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF, JPEG 2000, OpenEXR, PNM, TGA, DDS; JPEG XL and
    HEIC with the extra `formats`, camera raw with `raw`; 8 and 16 bit, float, gray, RGB, CMYK, Lab,
    with or without alpha), archives of images (CBZ, ZIP), videos (MP4, MOV, MKV, WebM, AVI, ...),
    and folders of all; image sequences as a pattern (frames/%05d.png). Accepts several paths, and
    can be repeated. With --cluster also s3:// and gs://. A pipe can hold an image; `-` alone: one
    image from standard input."""
    output: OutputOptions
    model: Annotated[
        str | Sequence[str] | None,
        Flag(
            INPUT,
            "NAME|FILE|auto",
            ("-m", "--model"),
            default=_DEFAULT_MODELS,
            is_repeated=True,
        ),
    ] = None
    """A name of --list-models, which is downloaded if it is not bundled; a purpose (photo, anime,
    text, ...), for which the best is taken; the stem of a file in the folders of SR_MODELS; or a
    file: of train.py; published weights (.pth, .safetensors, .ckpt) of Real-ESRGAN, BasicSR and
    everything that spandrel detects; .onnx with the extra `onnx`; .param of ncnn, its .bin next to
    it, with the extra `ncnn`. From the web: hf:OWNER/REPOSITORY[/FILE][@REVISION],
    openmodeldb:NAME, https://... with --sha256. `sr-info FILE` describes a file. Repeated: the
    models run one after the other, as in `-m deblock.safetensors -m span_x4`. auto: for each input
    the bundled model that suits it, compact_real_x4 where it is compressed or noisy."""
    runtime: RuntimeOptions = RuntimeOptions()
    video: VideoOptions = field(default_factory=VideoOptions)
    texture: TextureOptions = field(default_factory=TextureOptions)
    resample: Annotated[ResampleMethod | None, Flag(INPUT, default="none")] = None
    """Enlarge without a model. nearest repeats pixels, for pixel art; bicubic is plain
    interpolation. By a whole factor as -s (4 if that is not given)."""
    reference: Annotated[Path | None, Flag(FILES, "FOLDER")] = None
    """Folder of originals with the names of the inputs (without an ending such as _x4): images; for
    videos and image sequences, folders of frames or videos. For one video also the video, folder or
    pattern itself. Prints PSNR and SSIM, ignoring a border as wide as the scale, for videos also
    flicker and tOF, and saves them as scores.json next to the results. Frames of videos are scored
    in 8 bits before encoding."""
    lpips: Annotated[str | None, Flag(FILES, "torchvision|FILE")] = None
    """With --reference: LPIPS too, by AlexNet with these weights: torchvision's (downloaded once),
    or a file with the same keys."""
    log: Annotated[Path | None, Flag(FILES, "FILE")] = None
    """Append one JSON line per event to this file. `--merge-logs` sums several."""
    shard: Annotated[Shard | None, Flag(MACHINES, "I/N|auto", parse=parse_shard)] = None
    """Take the I-th of N equal shares of the inputs, such as 3/16: for several machines that have
    the same command and folders. With --resume they share the segments of each video too. auto: I
    and N of SLURM's, SkyPilot's or Kubernetes' variables."""
    shard_by: Annotated[Literal["hash", "work"], Flag(MACHINES)] = "hash"
    """How inputs are shared. hash: by their path below the input folder. work: about equal work, by
    the sizes of all inputs, whose headers each shard reads first; none may change meanwhile."""
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
    sha256: Annotated[str | None, Flag(INPUT, "HEX", default="none")] = None
    """SHA-256 that the file of -m must have, else it is not opened."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", [parse_place(path) for path in self.inputs])
        if self.sha256 is not None and (len(self.models) != 1 or self.models == ("auto",)):
            raise UsageError("--sha256: needs -m once, the model whose file it is of")
        if self.reference is not None and self.output.frames == "files":
            raise UsageError("--reference: expected images of one frame, got --frames files")
        if self.lpips is not None and self.reference is None:
            raise UsageError("--lpips: needs --reference, the originals to compare with")
        if self.shard is not None and STREAM in self.inputs:
            raise UsageError("--shard: expected files or folders, got standard input")
        if self.shard is None and self.shard_by != "hash":
            raise UsageError(f"--shard-by {self.shard_by}: needs --shard")
        if self.cluster.engine is not None:
            self._check_cluster()
        else:
            self._check_places()
        if self.resample is not None:
            self._check_resample()
        if "auto" in self.models and len(self.models) > 1:
            raise UsageError(f"-m auto: expected no other model, got {' and '.join(self.models)}")

    @property
    def shares_videos(self) -> bool:
        """Whether several processes compute the segments of the same videos."""
        are_several = self.shard is not None or self.cluster.engine is not None
        return are_several and self.output.resume

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are named, in the order in which they run."""
        if self.model is None:
            return ()
        return (self.model,) if isinstance(self.model, str) else tuple(self.model)

    def _check_places(self) -> None:
        for path in (*self.inputs, self.output.path):
            if isinstance(path, ObjectPath):
                raise UsageError(
                    f"{path}: object stores need --cluster ray, on one machine too (`--address"
                    " local` starts one there)"
                )

    def _check_cluster(self) -> None:
        if self.shard is not None:
            raise UsageError("--cluster and --shard: expected one of them, got both")
        if STREAM in (*self.inputs, self.output.path):
            raise UsageError("--cluster: expected files or folders, got standard input or output")
        if self.models == ("auto",):
            raise UsageError("--cluster: expected one model for all inputs, got -m auto")
        if self.reference is not None:
            raise UsageError(
                "--cluster: expected no --reference; the same command with --skip-existing and"
                " without --cluster scores images that are there"
            )

    def _check_resample(self) -> None:
        if self.models or self.texture != TextureOptions(grain=self.texture.grain):
            raise UsageError(
                "--resample: enlarges without a model; expected no -m, --strength or --mask"
            )
        if self.output.size is not None or self.output.long_side is not None:
            raise UsageError("--resample: expected -s, got --size or --long-side")
        factor = self.output.outscale or DEFAULT_RESAMPLING
        if factor != int(factor) or not 1 <= factor <= MAX_RESAMPLING:
            raise UsageError(
                f"--resample: expected a whole factor from 1 to {MAX_RESAMPLING} as -s, got"
                f" {factor:g}"
            )
