import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sr.build import build_generator
from sr.errors import ModelFileError
from sr.io.model_file import write_model_file
from sr.models.loaded_model import LoadedGenerator
from sr.models.teacher import Teacher, load_teacher
from sr.networks.compact import Compact
from sr.options.generator import RRDBNetOptions


class Recorder(nn.Module):
    """Notes the precision in which it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.conv(lr)
        return sr


@pytest.mark.parametrize("able", [True, False])
def test_a_teacher_runs_in_reduced_precision_only_where_it_can(able: bool) -> None:
    allowed = frozenset({torch.bfloat16} if able else ())
    loaded = LoadedGenerator(Recorder(), 1, 0, "", "", reduced_precisions=allowed)
    teacher = Teacher(loaded, {}, 1)
    lr = torch.rand(1, 3, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sr = teacher(lr)
    assert sr.dtype == (torch.bfloat16 if able else torch.float32)
    assert not sr.requires_grad
    assert teacher(lr).dtype == torch.float32


def test_weights_without_metadata_teach_and_their_licence_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "published.pth"
    torch.save({"params": Compact(4, 8, 2).state_dict()}, path)
    teacher = load_teacher(path, 4, 8)
    assert teacher.description == {
        "file": "published.pth",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "architecture": "Compact",
        "licence": "",
    }
    assert teacher(torch.rand(2, 3, 5, 6)).shape == (2, 3, 20, 24)


def test_a_teacher_of_a_larger_scale_teaches_at_the_pupils() -> None:
    enlarge = nn.Upsample(scale_factor=4, mode="bilinear")
    teacher = Teacher(LoadedGenerator(enlarge, 4, 2, "", ""), {}, 2)
    ramp = torch.linspace(0, 1, 12).expand(2, 3, 10, 12)
    halved = teacher(ramp)
    expected = nn.Upsample(scale_factor=2, mode="bilinear")(ramp)
    assert halved.shape == (2, 3, 20, 24)
    torch.testing.assert_close(halved[..., 4:-4], expected[..., 4:-4], atol=1e-3, rtol=0)


def test_files_of_a_larger_scale_are_shrunk_and_of_a_smaller_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "x4.pth"
    torch.save(Compact(4, 8, 2).state_dict(), path)
    assert load_teacher(path, 2, 8)(torch.rand(2, 3, 6, 5)).shape == (2, 3, 12, 10)
    with pytest.raises(ModelFileError, match="expected a model of scale 8 or more, got 4"):
        load_teacher(path, 8, 8)


@pytest.mark.parametrize("lr_size", [4, 7])
def test_crops_that_are_no_multiple_of_the_teachers_size_are_padded_by_it(
    tmp_path: Path, lr_size: int
) -> None:
    options = RRDBNetOptions(type="RRDBNet", num_features=4, num_blocks=1, num_growth=2)
    path = tmp_path / "rrdb.safetensors"
    metadata = {"generator": options.model_dump(mode="json"), "scale": 1, "receptive_radius": 9}
    write_model_file(path, build_generator(options, 1).state_dict(), metadata)
    assert load_teacher(path, 1, lr_size)(torch.rand(1, 3, lr_size, lr_size)).shape[-1] == lr_size


def test_crops_that_the_teacher_cannot_take_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.pth"
    torch.save(Compact(2, 8, 2).state_dict(), path)

    def refuse(_self: Teacher, _lr: Tensor) -> Tensor:
        raise RuntimeError("padding is too large")

    monkeypatch.setattr(Teacher, "forward", refuse)
    message = r"small\.pth: cannot upscale crops of 8x8 LR pixels \(padding is too large\)"
    with pytest.raises(ModelFileError, match=message):
        load_teacher(path, 2, 8)
