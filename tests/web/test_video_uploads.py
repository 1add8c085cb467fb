from dataclasses import replace
from pathlib import Path

import pytest
from helpers.clips import make_clip
from helpers.images import encode_png, noise

from sr.io.video.frame import VideoError
from sr.web.folders import AllowedFolders, FolderError
from sr.web.settings import Settings
from sr.web.uploads import NotAnImageError, TooLargeError
from sr.web.video_uploads import NUM_KEPT, get_uploads_folder, keep_upload


def test_videos_and_images_are_kept_under_names_of_their_own(
    settings: Settings, tmp_path: Path
) -> None:
    make_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "a.png").write_bytes(encode_png(noise(5, 5, 3)))
    kept = [keep_upload(tmp_path / "clip.mp4", "../clip.mp4", settings) for _ in range(2)]
    kept.append(keep_upload(tmp_path / "a.png", "a.png", settings))
    assert [path.name for path in kept] == ["clip.mp4", "clip_2.mp4", "a.png"]
    assert {path.parent for path in kept} == {get_uploads_folder(settings)}
    assert kept[1].read_bytes() == (tmp_path / "clip.mp4").read_bytes()


def test_what_is_no_video_or_too_large_is_refused_by_its_own_name(
    settings: Settings, tmp_path: Path
) -> None:
    make_clip(tmp_path / "clip.mp4", 3)
    file = tmp_path / "other.mp4"
    playlist = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"
    for content in (b"this is a text", playlist, b"ffconcat version 1.0\nfile /etc/passwd\n"):
        file.write_bytes(content)
        with pytest.raises(VideoError, match=r"^sent\.mp4: expected"):
            keep_upload(file, "sent.mp4", settings)
    with pytest.raises(NotAnImageError, match=r"^list\.m3u8: expected a video or an image"):
        keep_upload(file, "list.m3u8", settings)
    with pytest.raises(VideoError, match=r"^sent\.mp4: expected frames of at most 100 pixels"):
        keep_upload(tmp_path / "clip.mp4", "sent.mp4", replace(settings, max_upload_pixels=100))
    with pytest.raises(TooLargeError, match=r"^sent\.mp4: expected at most 10 bytes"):
        keep_upload(tmp_path / "clip.mp4", "sent.mp4", replace(settings, max_upload=10))
    assert not get_uploads_folder(settings).exists()


def test_all_uploads_together_are_bounded(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(noise(5, 5, 3)))
    size = (tmp_path / "a.png").stat().st_size
    tight = replace(settings, max_upload=size)
    for _ in range(NUM_KEPT):
        keep_upload(tmp_path / "a.png", "a.png", tight)
    with pytest.raises(TooLargeError, match="bytes of uploads"):
        keep_upload(tmp_path / "a.png", "a.png", tight)


def test_a_folder_of_uploads_that_leads_elsewhere_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (settings.folders.folders[0] / "uploads").symlink_to(tmp_path / "secret")
    (tmp_path / "a.png").write_bytes(encode_png(noise(5, 5, 3)))
    with pytest.raises(FolderError):
        keep_upload(tmp_path / "a.png", "a.png", settings)
    other = replace(settings, folders=AllowedFolders([tmp_path / "secret"]))
    assert keep_upload(tmp_path / "a.png", "a.png", other).exists()
