"""What `make demo` upscales."""

from pathlib import Path

import av

from sr.io.find_files import list_files
from sr.io.image_formats import READABLE_SUFFIXES


def test_the_samples_are_small_images_and_a_clip_with_sound(repository: Path) -> None:
    samples = repository / "datasets" / "samples"
    assert len(list_files(samples, False, READABLE_SUFFIXES).files) == 4
    clip = samples / "otters.mp4"
    assert clip.stat().st_size < 1_000_000
    with av.open(str(clip)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        assert sum(1 for _ in container.decode(video=0)) == 60
