import pytest

from sr.inference.video.progress import Progress, find_bottleneck


@pytest.mark.parametrize(
    ("fills", "expected"),
    [
        ({"decode": 0.0, "network": 0.0}, "decode"),
        ({"decode": 1.0, "network": 0.0}, "network"),
        ({"decode": 1.0, "network": 1.0}, "encode"),
        ({"decode": 0.0, "network": 1.0}, "encode"),
    ],
)
def test_the_bottleneck_has_a_full_queue_before_it_and_an_empty_one_behind(
    fills: dict[str, float], expected: str
) -> None:
    assert find_bottleneck(fills) == expected


def test_progress_counts_on_from_an_earlier_run_and_says_what_is_left() -> None:
    progress = Progress(10, 13)
    reports = [progress.advance({"decode": 0.123}) for _ in range(3)]
    assert [each["frame"] for each in reports] == [11, 12, 13]
    assert reports[-1]["frames"] == 13
    assert reports[-1]["seconds_left"] == 0
    assert reports[0]["seconds_left"] >= 0
    assert reports[0]["fps"] > 0
    assert reports[0]["queues"] == {"decode": 0.12}


def test_without_a_known_end_nothing_is_said_of_what_is_left() -> None:
    assert "seconds_left" not in Progress(0, None).advance({})
