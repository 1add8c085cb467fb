"""Archives of images: every page is upscaled, everything else stays, and nothing is half done."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.videos import CountingNetwork, Listener, make_upscaler
from PIL import Image

from sr.errors import UsageError, UserError
from sr.inference.options import InferOptions, OutputOptions
from sr.inference.run import run
from sr.inference.run_summary import RunSummary
from sr.inference.suggest_model import look_at_tasks
from sr.inference.tasks import Task
from sr.inference.video.resume import locate_segments
from sr.inference.video_options import VideoOptions
from sr.io import archive as archives
from sr.io.archive import ArchiveError
from sr.tiling.runner import NetworkError
from sr.tiling.upscaler import Upscaler


def encode(number: int, kind: str = "png", size: tuple[int, int] = (8, 6)) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_book(path: Path, num_pages: int = 3, more: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"a comment"
        archive.writestr("ComicInfo.xml", "<ComicInfo/>")
        archive.mkdir("pages")
        for number in reversed(range(num_pages)):  # an order of its own
            archive.writestr(f"pages/{number:03}.png", encode(number))
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return path


def upscale(
    source: Path | list[Path],
    output: Path,
    *,
    upscaler: Upscaler | None = None,
    listener: Listener | None = None,
    video: VideoOptions | None = None,
    reference: Path | None = None,
    **options: Any,
) -> RunSummary:
    return run(
        InferOptions(
            [source] if isinstance(source, Path) else source,
            OutputOptions(output, **options),
            video=video or VideoOptions(),
            reference=reference,
        ),
        listener or Listener(),
        [upscaler or make_upscaler(CountingNetwork(2), 2)],
    )


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def decode(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_pages_are_upscaled_and_the_rest_stays_in_its_order(tmp_path: Path) -> None:
    source = write_book(tmp_path / "book.cbz", more={"b.jpg": encode(7, "jpeg"), ".x.png": b"?"})
    output, listener = tmp_path / "out.cbz", Listener()
    assert upscale(source, output, listener=listener).exit_code == 0
    before, after = read(source), read(output)
    assert list(after) == list(before)
    assert after["ComicInfo.xml"] == before["ComicInfo.xml"]
    assert after[".x.png"] == b"?"
    with zipfile.ZipFile(output) as archive:
        assert archive.comment == b"a comment"
    for number in range(3):
        page = f"pages/{number:03}.png"
        expected = np.kron(decode(before[page]), np.ones((2, 2, 1)))
        np.testing.assert_array_equal(decode(after[page]), expected)
    assert Image.open(io.BytesIO(after["b.jpg"])).format == "JPEG"
    assert not locate_segments(output).exists()
    (done,) = listener.fields("item_done")
    assert (done["pages"], done["resumed_at"]) == (4, 0)
    assert [each["page"] for each in listener.fields("progress")] == [1, 2, 3, 4]


def test_archives_in_folders_keep_their_suffix_and_zips_are_taken_when_named(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    book, other = write_book(folder / "book.cbz"), write_book(folder / "b.zip")
    upscale(folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["book_x2.cbz"]
    upscale([book, other], tmp_path / "both")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "b_x2.zip",
        "book_x2.cbz",
    ]


def test_pages_take_the_format_that_is_asked_for(tmp_path: Path) -> None:
    source = write_book(tmp_path / "book.cbz", 2)
    upscale(source, tmp_path / "out.cbz", ext="webp")
    pages = [name for name in read(tmp_path / "out.cbz") if name.endswith(".webp")]
    assert pages == ["pages/001.webp", "pages/000.webp"]


def test_pages_whose_new_names_would_be_the_same_keep_their_suffixes_too(tmp_path: Path) -> None:
    gif = encode(3, "gif")
    source = write_book(tmp_path / "book.cbz", 2, {"pages/000.gif": gif, "pages/000.gif.png": gif})
    assert upscale(source, tmp_path / "out.cbz").exit_code == 0
    after = read(tmp_path / "out.cbz")
    assert [name for name in after if "000" in name] == [
        *("pages/000.png", "pages/000.gif.png.png", "pages/000.gif.png"),
    ]
    expected = np.kron(decode(read(source)["pages/000.png"]), np.ones((2, 2, 1)))
    np.testing.assert_array_equal(decode(after["pages/000.png"]), expected)
    upscale(source, tmp_path / "webp.cbz", ext="webp")
    assert [name for name in read(tmp_path / "webp.cbz") if "000" in name] == [
        *("pages/000.webp", "pages/000.gif.webp", "pages/000.gif.png.webp"),
    ]


def test_names_in_an_old_code_page_and_comments_of_entries_stay(tmp_path: Path) -> None:
    source = write_book(tmp_path / "book.cbz", 0, {"NAME.gif": encode(3, "gif")})
    with zipfile.ZipFile(source, "a") as archive:
        entry = zipfile.ZipInfo("NAME.txt")
        entry.comment, entry.create_system = b"a comment", 0
        archive.writestr(entry, "text")
    shift_jis = "\u65e5\u672c".encode("shift_jis")
    source.write_bytes(source.read_bytes().replace(b"NAME", shift_jis))
    assert upscale(source, tmp_path / "out.cbz").exit_code == 0
    with zipfile.ZipFile(tmp_path / "out.cbz", metadata_encoding="shift_jis") as archive:
        assert archive.namelist()[-2:] == ["\u65e5\u672c.png", "\u65e5\u672c.txt"]
        entry = archive.infolist()[-1]
    assert (entry.comment, entry.create_system) == (b"a comment", 0)


def test_a_damaged_file_that_is_no_page_is_named(tmp_path: Path) -> None:
    source = write_book(tmp_path / "book.cbz", more={"notes.txt": b"hello"})
    source.write_bytes(source.read_bytes().replace(b"hello", b"hxllo"))
    (task,) = upscale(source, tmp_path / "out.cbz").tasks
    assert str(task.error).startswith(f"{source}/notes.txt: expected an archive of images")
    assert not (tmp_path / "out.cbz").exists()


@pytest.mark.parametrize(("start", "name"), [(b"Rar!\x1a\7\0", "RAR"), (b"7z\xbc\xaf", "7z")])
def test_comics_of_other_archives_are_refused_by_name(
    tmp_path: Path, start: bytes, name: str
) -> None:
    (tmp_path / "a.cbz").write_bytes(start + bytes(99))
    (task,) = upscale(tmp_path / "a.cbz", tmp_path / "out.cbz").tasks
    assert f"got {name}; repack it as CBZ or ZIP" in str(task.error)


class StopAt(CountingNetwork):
    """Ends the run at the n-th page, as a kill does, once those before are written."""

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        if self.num_calls == self.fault_at:
            raise NetworkError("stopped")
        self.num_calls += 1
        return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_a_run_that_ends_early_leaves_no_archive_and_goes_on_after_its_pages(
    tmp_path: Path,
) -> None:
    source, output = write_book(tmp_path / "book.cbz", 30), tmp_path / "out.cbz"
    upscale(source, tmp_path / "whole.cbz")
    with pytest.raises(NetworkError):
        upscale(source, output, upscaler=make_upscaler(StopAt(2, fault_at=12), 2))
    assert not output.exists()
    num_kept = len(list(locate_segments(output).glob("page-*.png")))
    assert 10 <= num_kept <= 12
    with pytest.raises(UsageError, match="Add --resume to continue them"):
        upscale(source, output)
    (task,) = upscale(source, output, resume=True, quality=7).tasks
    assert "quality was 95, is 7" in str(task.error)
    network, listener = CountingNetwork(2), Listener()
    upscale(source, output, upscaler=make_upscaler(network, 2), listener=listener, resume=True)
    assert network.num_calls == 30 - num_kept
    assert listener.fields("item_done")[0]["resumed_at"] == num_kept
    assert read(output) == read(tmp_path / "whole.cbz")
    assert not locate_segments(output).exists()


def test_a_damaged_page_fails_the_archive_before_the_work_unless_it_may_be_copied(
    tmp_path: Path,
) -> None:
    source = write_book(tmp_path / "book.cbz", more={"bad.png": encode(9)[:40], "no.jpg": b"text"})
    output, network = tmp_path / "out.cbz", CountingNetwork(2)
    summary = upscale(source, output, upscaler=make_upscaler(network, 2))
    assert summary.exit_code == 4
    message = str(summary.tasks[0].error)
    assert "2 of 5 pages cannot be upscaled" in message
    assert "book.cbz/bad.png" in message
    assert "book.cbz/no.jpg" in message
    assert network.num_calls == 0
    assert not output.exists()
    listener = Listener()
    video = VideoOptions(damaged="continue")
    assert upscale(source, output, video=video, listener=listener).exit_code == 0
    after = read(output)
    assert after["no.jpg"] == b"text"
    assert decode(after["pages/000.png"]).shape == (16, 12, 3)
    assert any("copied as it is" in warning for warning in listener.warnings)


def test_a_page_that_fails_in_the_work_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    source = write_book(tmp_path / "book.cbz", more={"large.png": encode(5, size=(40, 40))})
    output = tmp_path / "out.cbz"

    class Full(CountingNetwork):
        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            if lr.shape[-1] == 40:
                raise UserError("a fault")
            return super().forward(lr)

    summary = upscale(source, output, upscaler=make_upscaler(Full(2), 2))
    assert "book.cbz/large.png" in str(summary.tasks[0].error)
    assert not output.exists()
    assert len(list(locate_segments(output).glob("page-*.png"))) == 3
    assert upscale(source, output, resume=True).exit_code == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.png", "a name that leads out of it"),
        ("/a.png", "a name that leads out of it"),
        ("a/../../b.png", "a name that leads out of it"),
        ("..\\a.png", "a name that leads out of it"),
        ("C:/a.png", "a name that leads out of it"),
    ],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    source = write_book(tmp_path / "book.cbz", 1, {name: encode(1)})
    (task,) = upscale(source, tmp_path / "out.cbz").tasks
    assert isinstance(task.error, ArchiveError)
    assert reason in str(task.error)
    assert sorted(os.listdir(tmp_path)) == ["book.cbz"]


def test_links_encryption_and_names_that_occur_twice_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    for number, (name, words) in enumerate(
        [(link, "a link"), (zipfile.ZipInfo("pages/000.png"), "a name twice")]
    ):
        path = write_book(tmp_path / f"{number}.cbz", 1)
        with zipfile.ZipFile(path, "a") as archive, pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            archive.writestr(name, b"/etc/passwd")
        (task,) = upscale(path, tmp_path / f"out{number}.cbz").tasks
        assert words in str(task.error)
    path = write_book(tmp_path / "secret.cbz", 1)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the first entry's flags
    path.write_bytes(content)
    (task,) = upscale(path, tmp_path / "out.cbz").tasks
    assert "an encrypted entry" in str(task.error)


def test_an_archive_of_compressed_pages_is_taken_for_one(tmp_path: Path) -> None:
    def encode_page(number: int, quality: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(decode(encode(number, size=(64, 64)))).save(file, "jpeg", quality=quality)
        return file.getvalue()

    options = InferOptions([tmp_path], OutputOptions(tmp_path / "out"))
    for quality in (20, 100):
        more = {f"{number}.jpg": encode_page(number, quality) for number in range(6)}
        path = write_book(tmp_path / f"{quality}.cbz", 0, more)
        (signs,) = look_at_tasks([Task(path, tmp_path / "out.cbz", "archive")], options)
        assert ("JPEG quality" in signs.reason) == (quality == 20)


def test_bombs_are_refused_by_what_they_declare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = tmp_path / "bomb.cbz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", encode(1))
        archive.writestr("b.txt", bytes(2**20))
    monkeypatch.setattr(archives, "FREE_BYTES", 2**10)
    (task,) = upscale(bomb, tmp_path / "out.cbz").tasks
    assert "expected at most 100 times the archive's size" in str(task.error)
    monkeypatch.setattr(archives, "FREE_BYTES", 2**26)
    monkeypatch.setattr(archives, "MAX_ENTRIES", 1)
    (task,) = upscale(bomb, tmp_path / "out.cbz").tasks
    assert "expected at most 1 entries, got 2" in str(task.error)
    monkeypatch.setattr(archives, "MAX_ENTRIES", 9)
    monkeypatch.setattr(archives, "MAX_PAGE_BYTES", 9)
    (task,) = upscale(bomb, tmp_path / "out.cbz").tasks
    assert "bomb.cbz/a.png: expected at most 9 bytes" in str(task.error)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4" + bytes(50)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.cbz").write_bytes(content)
    (task,) = upscale(tmp_path / "a.cbz", tmp_path / "out.cbz").tasks
    assert isinstance(task.error, ArchiveError)
    assert "expected an archive of images (CBZ or ZIP)" in str(task.error)


def test_an_archive_without_images_is_refused(tmp_path: Path) -> None:
    (task,) = upscale(write_book(tmp_path / "a.cbz", 0), tmp_path / "out.cbz").tasks
    assert "expected images in the archive, got none" in str(task.error)


def test_outputs_that_do_not_suit_are_refused(tmp_path: Path) -> None:
    book = write_book(tmp_path / "a.cbz")
    image = tmp_path / "a.png"
    image.write_bytes(encode(1))
    with pytest.raises(UsageError, match=r"expected \.cbz or \.zip for an archive, got \.png"):
        upscale(book, tmp_path / "out.png")
    with pytest.raises(UsageError, match="expected no archive for one image"):
        upscale(image, tmp_path / "out.cbz")
    with pytest.raises(UsageError, match="expected images and videos, got"):
        upscale(book, tmp_path / "out.cbz", reference=tmp_path)
    write_book(tmp_path / "out.cbz")
    with pytest.raises(UsageError, match="already exists"):
        upscale(book, tmp_path / "out.cbz")
    assert upscale(book, tmp_path / "out.cbz", skip_existing=True).num_skipped == 1
