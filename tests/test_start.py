"""What a command imports: what it does not need would cost its user seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NETWORK = {"ssl", "huggingface_hub", "sr.io.https", "sr.io.download"}
"""Of models that have to be downloaded, and of none other."""
HEAVY = {"torch", "torchvision", "cv2", "av", "pyvips", "accelerate", "spandrel", "ncnn"}
CALLS = {
    "infer.py --help": "from sr.cli.infer import main; main(['--help'])",
    "infer.py, a wrong flag": "from sr.cli.infer import main; main(['--no-such-flag'])",
    "infer.py --list-models": "from sr.cli.infer import main; main(['--list-models'])",
    "infer.py, no such input": "from sr.cli.infer import main; main(['-i', 'no.png', '-o', 'x'])",
    "infer.py, no such model": "from sr.cli.infer import main; main(['-i', '.', '-m', 'no'])",
    "train.py --help": "from sr.cli.train import app; app(['--help'])",
    "train.py, a wrong option": "from sr.cli.train import app; app(['-opt', 'faulty.yml'])",
    "sr-info --help": "from sr.cli.info import main; main(['--help'])",
    "sr-convert --help": "from sr.cli.convert import main; main(['--help'])",
    "sr-models --help": "from sr.cli.models import main; main(['--help'])",
    "sr-models publish --help": "from sr.cli.models import main; main(['publish', '--help'])",
    "sr-models search": "from sr.cli.models import main; main(['search', 'anime'])",
    "sr-models where": "from sr.cli.models import main; main(['where', 'realesrgan-x4plus'])",
    "sr-data --help": "from sr.cli.data import main; main(['--help'])",
    "sr-data prepare --help": "from sr.cli.data import main; main(['prepare', '--help'])",
}
"""What is to be done without numbers and images."""
UNNEEDED = ("sr.training", "sr.data", "sr.optim", "sr.io.video.", "sr.inference.video.")
"""By an image."""
NEEDED_OF_VIDEOS = {
    "sr.io.video.filter_options",
    "sr.io.video.formats",
    "sr.io.video.frame",
    "sr.io.video.time_range",
    "sr.inference.video.resume",
}
"""To tell a video from an image, and its unfinished result from others."""


def list_imports(code: str, repository: Path, folder: Path) -> set[str]:
    """Run code in a new process and return the names of the modules that it has imported."""
    lines = [
        "import atexit, sys",
        f"sys.path.insert(0, {str(repository)!r})",
        "atexit.register(lambda: open('imports.txt', 'w').write('\\n'.join(sys.modules)))",
        code,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    return set((folder / "imports.txt").read_text().split("\n"))


@pytest.mark.parametrize("call", CALLS)
def test_a_command_without_work_imports_nothing_heavy(
    call: str, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "faulty.yml").write_text("name: faulty\nscale: 5\n")
    imported = list_imports(CALLS[call], repository, tmp_path)
    assert "sr.errors" in imported
    assert not (HEAVY | NETWORK) & imported


def test_an_image_needs_no_code_of_videos_or_training(repository: Path, tmp_path: Path) -> None:
    image = repository / "datasets" / "samples"
    sample = next(path for path in sorted(image.iterdir()) if path.suffix in (".jpg", ".png"))
    arguments = ["-i", str(sample), "-o", "out.png", "--long-side", "64"]
    code = f"from sr.cli.infer import main; main({arguments!r})"
    imported = list_imports(code, repository, tmp_path)
    assert (tmp_path / "out.png").exists()
    assert not {*HEAVY - {"torch", "pyvips"}, "sr.io.https", "PIL", "torch._dynamo"} & imported
    assert not {name for name in imported if name.startswith(UNNEEDED)} - NEEDED_OF_VIDEOS
