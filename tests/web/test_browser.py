"""The page in a real browser: headless Chromium, one server for all tests, in their order."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.images import draw_texture
from PIL import Image

from sr.io.rgb8 import write_rgb8

pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium"),
]
FAST = "compact_tiny_x4"
TIMEOUT = 60_000  # ms
RUNNING = "#sr-tasks [data-state=running] progress:not([value='0'])"
SERVE = "from sr.web.main import main; main()"


class Server:
    """sr-web as a program, which can be started again."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self._repository = repository
        self._program: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(self._repository),
        }
        arguments = ["--port", "0", "--folder", str(self.folder), "--device", "cpu"]
        arguments += ["--state", str(self.folder / "state")]
        self._program = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments, "--runs", str(self.folder / "runs")],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._program.stdout is not None
        self.address = self._program.stdout.readline().split()[0]

    def end(self) -> None:
        assert self._program is not None
        self._program.send_signal(signal.SIGINT)
        _, errors = self._program.communicate(timeout=60)
        assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("browser")
    (folder / "in").mkdir()
    texture = (255 * draw_texture(60, 80)).astype(np.uint8)
    write_rgb8(folder / "in" / "photo.png", np.stack([texture] * 3, axis=-1))
    (folder / "in" / "text.png").write_text("this is a text")
    # Below the megabyte from which on back ends are measured first.
    make_clip(folder / "clip.mp4", 250, size=(90, 120), options={"crf": "45"})
    assert (folder / "clip.mp4").stat().st_size < 900_000
    server = Server(folder, repository)
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as program:
        browser = program.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(server: Server, browser: Any) -> Iterator[Any]:
    """A new page; requests to elsewhere, and errors of its scripts, fail the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(TIMEOUT)
    others: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: others.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    ours = (server.address, "data:", "blob:")
    page.goto(server.address)
    page.wait_for_selector("#sr-files")
    yield page
    page.close()
    assert not [url for url in others if not url.startswith(ours)]
    assert not errors


def drop(page: Any, *files: Path) -> None:
    page.set_input_files("#sr-files input[type=file]", [str(file) for file in files])


def choose_fast_model(page: Any) -> None:
    page.get_by_role("radio", name=FAST).click()


def test_every_input_has_a_name_and_the_tabs_are_reached_by_key(page: Any) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('input, textarea, select, button, [role=tab]')]
            .filter((each) => each.offsetParent !== null && each.type !== 'file')
            .filter((each) => !(each.labels && each.labels.length) && !each.ariaLabel
                && !each.title && !each.textContent.trim() && !each.closest('label'))
            .map((each) => each.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    page.get_by_role("tab", name="Images").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_by_role("tab", selected=True).inner_text() == "Folders and videos"


def find_violations(page: Any) -> list[str]:
    """Return what axe-core finds against WCAG and its own best practices."""
    found = axe.Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


def test_axe_finds_nothing_on_any_tab(page: Any, server: Server) -> None:
    page.wait_for_selector("p.loading", state="detached")
    drop(page, server.folder / "in" / "photo.png")
    page.wait_for_selector("#sr-shown img")
    page.wait_for_selector("[aria-label='Choose other files']")
    assert find_violations(page) == []
    for name, element in (("Folders and videos", "#sr-start"), ("Training", "#sr-training-show")):
        page.get_by_role("tab", name=name).click()
        page.wait_for_selector(element)
        assert find_violations(page) == []


def test_the_part_to_preview_is_dragged_and_moved_by_keys(page: Any, server: Server) -> None:
    drop(page, server.folder / "in" / "photo.png")
    page.wait_for_selector("#sr-shown img")
    choose_fast_model(page)
    image = page.locator("#sr-shown .area img").bounding_box()
    box = page.locator("#sr-shown .box")
    assert box.bounding_box()["width"] == pytest.approx(image["width"], abs=1)  # all of it
    page.mouse.move(image["x"] + 2, image["y"] + 2)
    slider = page.get_by_role("slider", name="Size")
    slider.focus()
    page.keyboard.press("Home")
    assert box.bounding_box()["width"] == pytest.approx(0.4 * image["width"], abs=1)
    left = page.get_by_role("slider", name="From left")
    left.focus()
    page.keyboard.press("End")
    end = box.bounding_box()
    assert end["x"] + end["width"] == pytest.approx(image["x"] + image["width"], abs=1)

    page.mouse.move(end["x"] + 5, end["y"] + 5)
    page.mouse.down()
    page.mouse.move(image["x"] + 5, end["y"] + 5, steps=4)
    page.mouse.up()  # which previews that part
    page.wait_for_selector("#sr-slider img")
    assert box.bounding_box()["x"] == pytest.approx(image["x"], abs=1)


def test_an_upload_is_kept_upscaled_and_downloaded(page: Any, server: Server) -> None:
    page.get_by_role("tab", name="Folders and videos").click()
    page.set_input_files("#sr-uploads input[type=file]", str(server.folder / "in" / "photo.png"))
    kept = server.folder / "uploads" / "photo.png"
    page.wait_for_function(
        "(path) => document.querySelector('#sr-inputs textarea').value === path", arg=str(kept)
    )
    page.click("#sr-start")
    with page.expect_download() as download:
        page.click("#sr-tasks a")
    assert download.value.suggested_filename == "photo_x4.png"


def test_an_image_is_previewed_upscaled_and_downloaded(page: Any, server: Server) -> None:
    drop(page, server.folder / "in" / "photo.png")
    page.wait_for_selector("#sr-shown img")
    choose_fast_model(page)
    page.click("#sr-preview")
    page.wait_for_selector("#sr-slider img")
    assert "Preview of a part" in page.inner_text("#sr-slider")

    page.click("#sr-run")
    page.wait_for_selector("#sr-results a")
    assert "320 x 240 pixels" in page.inner_text("#sr-results")
    assert f"-m {FAST}" in page.input_value("#sr-command textarea")
    with page.expect_download() as download:
        page.click("#sr-results a")
    with Image.open(download.value.path()) as image:
        assert image.size == (320, 240)


def test_the_slider_moves(page: Any, server: Server) -> None:
    drop(page, server.folder / "in" / "photo.png")
    page.wait_for_selector("#sr-shown img")
    choose_fast_model(page)
    page.click("#sr-shown .area")  # which previews that place
    page.wait_for_selector("#sr-slider img")
    handle = page.locator("#sr-slider [role=slider], #sr-slider .outer").first
    before = handle.bounding_box()
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.mouse.down()
    page.mouse.move(before["x"] + before["width"] / 2 - 100, before["y"] + before["height"] / 2)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert handle.bounding_box()["x"] < before["x"] - 50


def test_a_text_and_a_path_out_of_the_folder_are_refused_in_words(
    page: Any, server: Server
) -> None:
    drop(page, server.folder / "in" / "text.png")
    error = page.wait_for_selector("#sr-status .sr-error").inner_text()
    assert error.startswith("text.png: expected an image (PNG, JPEG, WebP")

    page.get_by_role("tab", name="Folders and videos").click()
    page.fill("#sr-inputs textarea", "/etc/passwd")
    page.click("#sr-start")
    error = page.wait_for_selector("#sr-message .sr-error").inner_text()
    assert error.startswith("/etc/passwd: expected a path in ")
    assert "Traceback" not in page.content()


@pytest.mark.slow
def test_a_video_is_stopped_listed_after_a_restart_and_continued(
    page: Any, server: Server, browser: Any
) -> None:
    page.get_by_role("tab", name="Folders and videos").click()
    page.fill("#sr-inputs textarea", "clip.mp4")
    page.click("#sr-start")
    page.wait_for_selector(RUNNING)
    page.click("#sr-stop-run")
    page.wait_for_selector("#sr-tasks [data-state=stopped]")
    assert not list((server.folder / "upscaled").glob("clip_x4.*"))
    page.close()
    server.end()
    server.start()

    again = browser.new_page()
    again.set_default_timeout(TIMEOUT)
    again.goto(server.address)
    again.get_by_role("tab", name="Folders and videos").click()
    again.wait_for_selector("#sr-tasks [data-state=stopped]")
    assert "clip.mp4" in again.inner_text("#sr-runs")
    again.click("#sr-resume")
    again.wait_for_selector(RUNNING)
    again.close()  # which the run does not need; ending the server stops it
