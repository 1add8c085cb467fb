"""Small valid files of every format that the product reads."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from helpers.basicsr_files import ESRGAN, MSRRESNET
from helpers.clips import Tone, make_clip
from helpers.images import encode_image, encode_tiff, noise
from helpers.ncnn_files import join_lines
from helpers.streams import write_source
from PIL import Image, ImageCms
from safetensors.torch import save
from torch import Tensor, nn

from sr.io.model_file import FORMAT
from sr.networks.compact import Compact
from sr.networks.span import SPAN

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Seeds:
    """Files of one format. kind: what reads them (`fuzz.targets`); suffix: of their names."""

    kind: str
    suffix: str
    make: Callable[[], Sequence[bytes]]


def _make_png() -> list[bytes]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    color, gray = Image.fromarray(noise(9, 11, 3)), Image.fromarray(noise(9, 11))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    _, deep = cv2.imencode(".png", noise(9, 11, 4, dtype="uint16"))
    return [
        encode_image(color, "png", icc_profile=profile, exif=exif, dpi=(72, 72)),
        encode_image(color.quantize(7), "png", transparency=b"\x00\x80"),
        encode_image(gray, "png", bits=1),
        encode_image(Image.fromarray(noise(9, 11, 4)), "png"),
        deep.tobytes(),
    ]


def _make_jpeg() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 3
    color = Image.fromarray(noise(16, 24, 3))
    return [
        encode_image(color, "jpeg", exif=exif, dpi=(72, 72), comment=b"a comment"),
        encode_image(color, "jpeg", progressive=True, subsampling=0),
        encode_image(color.convert("L"), "jpeg"),
        encode_image(color.convert("CMYK"), "jpeg"),
    ]


def _encode_with_opencv(suffix: str) -> bytes:
    _, content = cv2.imencode(suffix, noise(40, 48, 3))
    return content.tobytes()


def _make_webp() -> list[bytes]:
    color = Image.fromarray(noise(16, 24, 4))
    return [
        encode_image(color.convert("RGB"), "webp", quality=50, xmp=b"<x/>"),
        encode_image(color, "webp", lossless=True),
        *_make_animated("webp"),
    ]


def _make_animated(kind: str) -> list[bytes]:
    first, *others = (Image.fromarray(noise(8 + n, 12, 3)[:8]) for n in range(3))
    return [encode_image(first, kind, save_all=True, append_images=others, duration=[40, 80, 40])]


def _make_tiff() -> list[bytes]:
    return [
        encode_tiff(noise(9, 11, 3), photometric="rgb"),
        encode_tiff(noise(40, 40, dtype="uint16"), tile=(16, 16), compression="zlib"),
        encode_image(Image.fromarray(noise(9, 11)), "tiff", compression="tiff_lzw"),
        encode_image(Image.fromarray(noise(9, 11, 3)).convert("CMYK"), "tiff"),
    ]


def _make_frame() -> list[bytes]:
    return [encode_image(Image.fromarray(noise(9, 11, 3)), "png")]


def _make_avif() -> list[bytes]:
    color = Image.fromarray(noise(16, 24, 4))
    return [encode_image(color.convert("RGB"), "avif", speed=10), encode_image(color, "avif")]


def _make_gif() -> list[bytes]:
    return [encode_image(Image.fromarray(noise(9, 11)), "gif"), *_make_animated("gif")]


def _make_bmp() -> list[bytes]:
    color = Image.fromarray(noise(9, 11, 4))
    return [encode_image(color.convert(mode), "bmp") for mode in ("RGB", "L", "1", "RGBA", "P")]


def _make_clip(suffix: str, **options: object) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        return make_clip(path, 4, **options).read_bytes()  # type: ignore[arg-type]  # as they are


def _make_source(suffix: str, **options: object) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        return write_source(path, num_frames=4, **options).read_bytes()  # type: ignore[arg-type]


def _make_mp4() -> list[bytes]:
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    return [
        _make_source(".mp4", sounds=("aac",), subtitle="mov_text", chapters=True),
        _make_clip(".mp4", container_options=fragments),
        _make_clip(".mp4", codec="mpeg4", sound=Tone(0.2)),
    ]


def _make_mkv() -> list[bytes]:
    return [
        _make_source(".mkv", sounds=("flac",), subtitle="srt", attached=True),
        _make_clip(".mkv", codec="ffv1"),
    ]


def _make_webm() -> list[bytes]:
    return [_make_source(".webm", sounds=("libopus",)), _make_clip(".webm", codec="libvpx")]


def _make_avi() -> list[bytes]:
    return [
        _make_clip(".avi", codec="mpeg4"),
        _make_clip(".avi", codec="mjpeg", pix_fmt="yuvj420p"),
        _make_clip(".avi", codec="rawvideo"),
    ]


def _make_ts() -> list[bytes]:
    return [_make_source(".ts", sounds=("mp2",)), _make_clip(".ts", codec="mpeg2video")]


def _make_mov() -> list[bytes]:
    return [
        _make_clip(".mov", codec="prores_ks", pix_fmt="yuv422p10le"),
        _make_clip(".mov", codec="qtrle", pix_fmt="rgb24"),
    ]


def _make_options() -> list[bytes]:
    return [path.read_bytes() for path in sorted((REPOSITORY / "options" / "train").glob("*.yml"))]


def _make_weights(network: nn.Module) -> dict[str, Tensor]:
    """Of the same values in every run."""
    weights = network.state_dict()
    random = torch.Generator().manual_seed(0)
    return {name: torch.rand(tensor.shape, generator=random) for name, tensor in weights.items()}


def _make_safetensors() -> list[bytes]:
    compact = {"type": "Compact", "num_features": 4, "num_convs": 1}
    span = {"type": "SPAN", "num_features": 4, "num_blocks": 1}
    about = {"format": FORMAT, "scale": 2, "step": 10, "training_data": "some"}
    radius = {"receptive_radius": 3}
    return [
        save(
            _make_weights(Compact(2, 4, 1)),
            {"sr": json.dumps({**about, **radius, "generator": compact})},
        ),
        save(_make_weights(SPAN(2, 4, 1)), {"sr": json.dumps({**about, "generator": span})}),
        save(_make_weights(Compact(2, 4, 1))),
    ]


def _make_pth() -> list[bytes]:
    contents = []
    for is_zip in (True, False):
        file = io.BytesIO()
        weights = {"params_ema": _make_weights(Compact(2, 4, 1)), "step": 3}
        torch.save(weights, file, _use_new_zipfile_serialization=is_zip)
        contents.append(file.getvalue())
    return contents


def _make_onnx() -> list[bytes]:
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.full((12, 3, 3, 3), 0.01, np.float32), "weight")
    shapes = [["n", 3, side, f"{side}_w"] for side in ("h", "o")]
    lr, sr = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(("lr", "sr"), shapes, strict=True)
    )
    nodes = [
        helper.make_node("Conv", ["lr", "weight"], ["x"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["x"], ["sr"], blocksize=2, mode="CRD"),
    ]
    graph = helper.make_graph(nodes, "g", [lr], [sr], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"sr": json.dumps({"generator": {"type": "a"}, "scale": 2})})
    return [model.SerializeToString()]


def _make_ncnn() -> list[bytes]:
    attention = (
        *("Input in 0 1 a", "Split s 1 2 a b c", "Pooling mean 1 1 b d 0=1 4=1"),
        *("InnerProduct fc 1 1 d e 0=3 1=1 2=9 9=4", "BinaryOp times 2 1 c e f 0=2"),
        *("Slice cut 1 2 f g h -23300=2,1,-233", "Concat join 2 1 h g i"),
        *("Reorg fold 1 1 i j 0=2", "PReLU slopes 1 1 j k 0=12", "PixelShuffle up 1 1 k l 0=2"),
        "Deconvolution grow 1 1 l m 0=3 1=4 3=2 4=1 5=1 6=144",
    )
    return [join_lines().encode(), join_lines(attention).encode()]


FORMATS: dict[str, Seeds] = {
    "png": Seeds("image", ".png", _make_png),
    "jpeg": Seeds("image", ".jpg", _make_jpeg),
    "webp": Seeds("image", ".webp", _make_webp),
    "tiff": Seeds("image", ".tif", _make_tiff),
    "avif": Seeds("image", ".avif", _make_avif),
    "gif": Seeds("image", ".gif", _make_gif),
    "bmp": Seeds("image", ".bmp", _make_bmp),
    "pnm": Seeds("image", ".ppm", lambda: [b"P6 4 3 255\n" + bytes(range(36))]),
    "jpeg 2000": Seeds("image", ".jp2", lambda: [_encode_with_opencv(".jp2")]),
    "tga": Seeds("image", ".tga", lambda: [encode_image(Image.fromarray(noise(9, 11, 4)), "TGA")]),
    "dds": Seeds("image", ".dds", lambda: [encode_image(Image.fromarray(noise(9, 11, 4)), "DDS")]),
    "animated png": Seeds("image", ".png", lambda: _make_animated("png")),
    "mp4": Seeds("video", ".mp4", _make_mp4),
    "mkv": Seeds("video", ".mkv", _make_mkv),
    "webm": Seeds("video", ".webm", _make_webm),
    "avi": Seeds("video", ".avi", _make_avi),
    "ts": Seeds("video", ".ts", _make_ts),
    "mov": Seeds("video", ".mov", _make_mov),
    "animated gif": Seeds("video", ".gif", lambda: _make_animated("gif")),
    "sequence": Seeds("sequence", ".png", _make_frame),
    "options": Seeds("options", ".yml", _make_options),
    "basicsr": Seeds("basicsr", ".yml", lambda: [ESRGAN.encode(), MSRRESNET.encode()]),
    "safetensors": Seeds("model", ".safetensors", _make_safetensors),
    "pth": Seeds("model", ".pth", _make_pth),
    "onnx": Seeds("model", ".onnx", _make_onnx),
    "ncnn": Seeds("ncnn", ".param", _make_ncnn),
}
