import subprocess
import sys
from pathlib import Path

import pytest

IMPORT_ALL = """
import importlib, os, pkgutil, sys
arguments, folder = list(sys.argv), sorted(os.listdir())
import sr
names = [module.name for module in pkgutil.walk_packages(sr.__path__, "sr.")]
for name in names:
    importlib.import_module(name)
assert len(names) > 30, names
assert sys.argv == arguments
assert sorted(os.listdir()) == folder
import torch
assert torch.get_default_dtype() == torch.float32
assert not torch.backends.cudnn.benchmark
assert not torch.cuda.is_initialized()
assert torch.is_grad_enabled()
"""


@pytest.mark.slow
def test_importing_every_module_has_no_effect_and_no_output(
    repository: Path, tmp_path: Path
) -> None:
    code = f"import sys; sys.path.insert(0, {str(repository)!r})\n{IMPORT_ALL}"
    done = subprocess.run(
        [sys.executable, "-c", code, "--not-ours"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == ""
    assert done.returncode == 0
