import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.images import encode_image, encode_png, noise
from PIL import Image

from sr.errors import UserError
from sr.io.image_formats import ImageError
from sr.io.rgb8 import write_rgb8
from sr.web.application import Application
from sr.web.form import Choices
from sr.web.image_runs import Upload, show_command, start_images, start_preview
from sr.web.previews import save_pair, save_preview, split_frame
from sr.web.queued_run import QueuedRun
from sr.web.settings import Settings
from sr.web.uploads import NotAnImageError, TooLargeError, check_upload, choose_name

FAST = "compact_tiny_x4"
Finish = Callable[[QueuedRun], QueuedRun]


def start(application: Application, choices: Choices, *files: Path) -> QueuedRun:
    uploads = [Upload(file, file.name) for file in files]
    return start_images(uploads, choices, "me", application.queue, application.settings)


def test_images_of_one_name_give_results_of_their_own_with_metadata(
    application: Application, tmp_path: Path, finish: Finish
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    for folder in ("1", "2"):
        (tmp_path / folder).mkdir()
        content = encode_image(Image.fromarray(noise(9, 8, 3)), "JPEG", exif=exif)
        (tmp_path / folder / "a.jpg").write_bytes(content)
    choices = Choices(FAST, scale=2, format="webp", quality=80)
    run = finish(start(application, choices, tmp_path / "1" / "a.jpg", tmp_path / "2" / "a.jpg"))
    outputs = [run.tasks[number].output for number in (1, 2)]
    assert [output.name for output in outputs if output] == ["a_x2.webp", "a_2_x2.webp"]
    assert outputs[0] is not None
    with Image.open(outputs[0]) as result:
        assert result.size == (16, 18)
        assert result.getexif()[0x010E] == "a description"


def test_the_result_is_that_of_the_command_line(
    application: Application, image: Path, tmp_path: Path, finish: Finish
) -> None:
    from sr.cli.infer import main

    run = finish(start(application, Choices(FAST), image))
    with pytest.raises(SystemExit):
        main(["-i", str(image), "-o", str(tmp_path / "b.png"), "-m", FAST, "--device", "cpu"])
    output = run.tasks[1].output
    assert output is not None
    with Image.open(output) as ours, Image.open(tmp_path / "b.png") as theirs:
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_preview_is_the_crop_of_the_whole_result(
    application: Application, tmp_path: Path, finish: Finish
) -> None:
    source = tmp_path / "photo.png"
    write_rgb8(source, noise(120, 300, 3))
    upload, choices = Upload(source, "photo.png"), Choices(FAST, long_side=600)
    run = finish(
        start_preview(
            upload, choices, (250, 20, 100, 40), "me", application.queue, application.settings
        )
    )
    output = run.tasks[1].output
    assert output is not None
    assert run.is_urgent
    assert run.tasks[1].size == (200, 80)
    with Image.open(run.tasks[1].source) as crop, Image.open(source) as whole:
        right = np.asarray(whole)[20:60, 200:]
        assert np.array_equal(np.asarray(crop), right)


def test_uploads_are_refused_for_what_they_are(settings: Settings, tmp_path: Path) -> None:
    def check(name: str, content: bytes) -> None:
        file = tmp_path / name
        file.write_bytes(content)
        check_upload(file, name, settings)

    good = encode_png(noise(5, 4, 3))
    check("good.png", good)
    with pytest.raises(NotAnImageError, match=r"^text\.png: expected an image"):
        check("text.png", b"hello, world, this is text")
    with pytest.raises(NotAnImageError, match=r"got \.txt"):
        check("good.txt", good)
    with pytest.raises(NotAnImageError, match="empty"):
        check("empty.png", b"")
    with pytest.raises(ImageError, match=r"^cut\.png"):
        check("cut.png", good[:40])
    with pytest.raises(TooLargeError, match="bytes"):
        check("long.png", good + bytes(1_000_000))
    with pytest.raises(TooLargeError, match="100,000 pixels, got 400x300"):
        check("wide.png", encode_png(np.zeros((300, 400, 3), np.uint8)))


def test_results_that_are_too_large_or_cannot_be_are_refused(
    application: Application, image: Path
) -> None:
    with pytest.raises(TooLargeError, match="a result of at most 1,000,000 pixels"):
        start(application, Choices(FAST, scale=100), image)
    with pytest.raises(UserError, match="for videos only"):
        start(application, Choices("rbpn_small_x4"), image)
    with pytest.raises(UserError, match="one or more images"):
        start(application, Choices(FAST))
    assert not list(application.settings.work.glob("run-*"))


def test_one_that_fails_in_the_run_does_not_keep_the_others(
    application: Application, image: Path, tmp_path: Path, finish: Finish
) -> None:
    content = bytearray(encode_png(noise(40, 40, 3)))
    content[600:900] = bytes(300)
    (tmp_path / "damaged.png").write_bytes(content)
    run = finish(start(application, Choices(FAST), tmp_path / "damaged.png", image))
    assert run.state == "failed"
    assert [run.tasks[1].state, run.tasks[2].state] == ["failed", "done"]
    assert "damaged.png: expected an image" in run.list_errors()[0]


def test_a_preview_that_cannot_be_leaves_no_files(
    application: Application, tmp_path: Path, finish: Finish
) -> None:
    content = bytearray(encode_png(noise(40, 40, 3)))
    content[600:900] = bytes(300)
    (tmp_path / "damaged.png").write_bytes(content)
    upload = Upload(tmp_path / "damaged.png", "damaged.png")
    queue, settings = application.queue, application.settings
    with pytest.raises(ImageError):
        start_preview(upload, Choices(FAST), None, "me", queue, settings)
    assert not list(settings.work.glob("run-*"))
    run = start(application, Choices(FAST), tmp_path / "damaged.png")
    assert finish(run).state == "failed"
    assert not list(settings.work.glob("run-*"))


def test_an_animation_is_refused(application: Application, tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(6, 6, 3)) for _ in range(2)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=[Image.new("RGB", (6, 6))])
    (tmp_path / "a.gif").write_bytes(file.getvalue())
    with pytest.raises(UserError, match=r"a\.gif: expected an image of one frame, got 2"):
        start(application, Choices(FAST), tmp_path / "a.gif")


def test_names_of_uploads_stay_in_their_folder() -> None:
    assert choose_name("../../etc/pass wd.png") == "pass wd.png"
    assert choose_name("C:\\Users\\me\\a.png") == "a.png"
    assert choose_name("a%05d.png") == "a_05d.png"
    assert choose_name("..") == "image"
    assert choose_name("a.png", ["A.png", "a_2.png"]) == "a_3.png"
    assert choose_name("a\n<b>[1].png") == "a_b_1_.png"


def test_the_command_that_is_shown_names_the_files_as_they_were_sent() -> None:
    command = show_command(["my photo.png"], Choices("compact_x2", scale=2, format="jpg"))
    assert command == "sr-infer -i 'my photo.png' -o upscaled -s 2 --ext jpg -m compact_x2"


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_previews_are_bounded_and_of_one_size(tmp_path: Path, bands: int, dtype: str) -> None:
    (tmp_path / "before.png").write_bytes(encode_png(noise(5, 85, bands, dtype=dtype)))
    (tmp_path / "after.png").write_bytes(encode_png(noise(100, 1700, bands, dtype=dtype)))
    files = save_pair(
        tmp_path / "before.png", tmp_path / "after.png", tmp_path, max_pixels=1_000_000
    )
    for file in files:
        with Image.open(file) as preview:
            assert preview.size == (1600, 94)


def test_a_preview_of_a_file_that_is_no_image_names_it(tmp_path: Path) -> None:
    shutil.copyfile(__file__, tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png"):
        save_preview(tmp_path / "a.png", tmp_path / "b.webp")


def test_a_frame_of_a_video_is_split_into_before_and_after(tmp_path: Path) -> None:
    pixels = np.zeros((10, 44, 3), np.uint8)
    pixels[:, 24:] = 255
    write_rgb8(tmp_path / "frame.png", pixels)
    before, after = split_frame(tmp_path / "frame.png", tmp_path / "view.webp")
    with Image.open(before) as left, Image.open(after) as right:
        assert left.size == right.size == (20, 10)
        assert np.asarray(left).max() < 10
        assert np.asarray(right).min() > 245
