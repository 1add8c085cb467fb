"""FFmpeg's lines are read where they are wanted, and come to nobody else."""

import threading

import av.logging
import pytest

from sr.io.video.ffmpeg_log import capture_log


def test_lines_of_this_thread_are_captured_and_those_of_others_silent(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    with capture_log(lines):
        other = threading.Thread(target=av.logging.log, args=(av.logging.ERROR, "other", "noise"))
        other.start()
        other.join()
        av.logging.log(av.logging.WARNING, "this", "one line")
        av.logging.log(av.logging.INFO, "this", "too little")
    av.logging.log(av.logging.ERROR, "later", "noise")
    assert lines == ["one line"]
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_the_level_is_the_former_one_again() -> None:
    before = av.logging.get_level()
    with capture_log([], av.logging.INFO):
        assert av.logging.get_level() == av.logging.INFO
    assert av.logging.get_level() == before
