"""Every command of docs/commands.md is run as it stands there, on small files of these names."""

import io
import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.fields import NTSC, draw_motion, interlace, write_frames
from helpers.image_formats import encode_dng, encode_exr
from helpers.images import encode_tiff
from helpers.models import write_compact
from PIL import Image

from sr.cli import infer

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
ROW = re.compile(r"\| [^|]+ \| `sr-infer ([^`]+)` \| [^|]+ \|")
VIDEO = re.compile(r"\.(mp4|mkv|webm)\b|/%05d")
COMMANDS = [
    pytest.param(found, marks=pytest.mark.slow if VIDEO.search(found) else ())
    for found in ROW.findall(PAGE.read_text(encoding="utf-8"))
]


def draw(*, alpha: bool = False, seed: int = 0) -> Image.Image:
    shape = (16, 16, 4 if alpha else 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def save(path: Path, **options: Any) -> None:
    draw().save(path, **options)


def save_frames(path: Path) -> None:
    save(path, save_all=True, append_images=[draw(seed=1), draw(seed=2)])


def save_jpegxl(path: Path) -> None:
    imagecodecs: Any = pytest.importorskip("imagecodecs")
    path.write_bytes(imagecodecs.jpegxl_encode(np.asarray(draw()), lossless=True))


def save_heic(path: Path) -> None:
    heif: Any = pytest.importorskip("pillow_heif")
    heif.from_pillow(draw()).save(path)


def save_raw(path: Path) -> None:
    pytest.importorskip("rawpy")
    path.write_bytes(encode_dng(np.full((32, 32, 3), 9000, np.uint16)))


def save_floats(path: Path) -> None:
    pixels = np.random.default_rng(0).random((16, 16, 3), np.float32)
    path.write_bytes(encode_tiff(pixels, photometric="rgb"))


def save_exr(path: Path) -> None:
    path.write_bytes(encode_exr(4 * np.random.default_rng(0).random((16, 16, 3), np.float32)))


def save_archive(path: Path) -> None:
    file = io.BytesIO()
    draw().save(file, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", file.getvalue())


def save_folder(path: Path) -> None:
    path.mkdir()
    for number in range(2):
        draw(alpha=path.name == "frames").save(path / f"{number:05}.png")


def save_transparent(path: Path) -> None:
    kinds = {".mov": ("prores_ks", "yuva444p10le"), ".webm": ("libvpx-vp9", "yuva420p")}
    codec, pix_fmt = kinds[path.suffix]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, pix_fmt
        stream.metadata.update({"alpha_mode": "1"} if path.suffix == ".webm" else {})
        for number in range(2):
            pixels = np.asarray(draw(alpha=True, seed=number))
            frame = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=pix_fmt)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def save_film(path: Path) -> None:
    write_frames(path, interlace(draw_motion(20), "tff"), rate=NTSC, order="tff")


MAKERS: dict[str, Callable[[Path], Any]] = {
    "deblock.safetensors": lambda path: write_compact(path, 1),
    "render.exr": save_exr,
    "float.tif": save_floats,
    "photo.jxl": save_jpegxl,
    "image.heic": save_heic,
    "photo.dng": save_raw,
    "book.cbz": save_archive,
    "photos.zip": save_archive,
    "photos": save_folder,
    "frames": save_folder,
    "title.mov": save_transparent,
    "logo.webm": save_transparent,
    "film.mkv": save_film,
    "clip.mp4": lambda path: make_clip(path, 2),
    "dvd.vob": lambda path: make_clip(path, 2, codec="mpeg2video"),
    "tape.avi": lambda path: make_clip(path, 2, codec="ffv1"),
    **dict.fromkeys(("scan.tif", "moving.gif", "spinner.png", "banner.avif"), save_frames),
}


def make_input(name: str) -> None:
    path = Path(name)
    if "%" in name:
        path = path.parent
    make: Callable[[Path], Any] = MAKERS.get(path.name, save)
    make(path)


def list_inputs(words: list[str]) -> list[str]:
    inputs = words[words.index("-i") + 1 : words.index("-o")]
    files = [word for word in words if word.endswith(".safetensors")]
    masks = [words[words.index("--mask") + 1]] if "--mask" in words else []
    return [*inputs, *files, *masks]


def test_the_page_has_a_command_in_each_row() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "`sr-infer -" in line]
    assert len(rows) == len(COMMANDS) > 30


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_does_what_it_is_for(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    for name in list_inputs(words):
        make_input(name)
    with pytest.raises(SystemExit) as end:
        infer.main(words)
    assert end.value.code in (0, None)
    output = Path(words[words.index("-o") + 1])
    folder = output.parent if "%" in output.name else output
    assert any(folder.iterdir()) if folder.is_dir() else output.stat().st_size > 0
