"""What libraries write to standard error is kept back, and the stream comes back."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from sr.native_errors import capture_native_errors


def test_what_a_library_reports_is_kept_back_and_given(capfd: pytest.CaptureFixture[str]) -> None:
    with capture_native_errors() as lines:
        os.write(2, b"of a library\n\xff")
        os.write(1, b"a result\n")
    os.write(2, b"after\n")
    assert capfd.readouterr() == ("a result\n", "after\n")
    assert lines == ["of a library", "\ufffd"]


def test_the_stream_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), capture_native_errors():
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_two_threads_capture_one_after_the_other(capfd: pytest.CaptureFixture[str]) -> None:
    def work(number: int) -> list[str]:
        with capture_native_errors() as lines:
            os.write(2, b"%d\n" % number)
        return lines

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(100))) == [[str(number)] for number in range(100)]
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
