"""Files are told apart by their first bytes, whatever their names."""

import io
from pathlib import Path

import pytest
import pyvips
from PIL import Image

from sr.io.image_source import ImageError, convert_errors, detect_format, open_file


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_each_format_is_known_by_its_content(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    assert detect_format(file.getvalue()[:16]) == kind.lower()


def test_avif_is_known_and_other_files_of_its_family_are_not() -> None:
    assert detect_format(b"\0\0\0\x20ftypavif\0\0\0\0") == "heif"
    assert detect_format(b"\0\0\0\x20ftypisom\0\0\0\0") is None  # a video
    assert detect_format(b"RIFF\x10\0\0\0WAVEfmt ") is None
    assert detect_format(b"") is None


def test_faults_become_image_errors_that_name_the_file() -> None:
    with (
        pytest.raises(ImageError, match=r"a\.png: could not be read: gone"),
        convert_errors("a.png", ""),
    ):
        raise OSError(2, "gone")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for source in (tmp_path / "a.png", b""):
        with (
            pytest.raises(ImageError, match="wanted, got an empty file"),
            open_file(source, "wanted"),
        ):
            pass


def test_a_full_folder_for_temporary_files_is_told() -> None:
    with (
        pytest.raises(ImageError, match=r"a\.png: .* temporary file.* TMPDIR"),
        convert_errors("a.png", ""),
    ):
        raise pyvips.Error(
            "unable to call", "wbuffer_write: write failed\nunix error: No space left"
        )
