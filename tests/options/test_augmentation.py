from typing import Any

import pytest

from sr.build_data import build_augmentation, build_sharpening
from sr.data.batch_augment import BatchAugmentation
from sr.data.sharpen import Sharpening
from sr.options.augmentation import AugmentationOptions, SharpeningOptions
from sr.options.datasets import TrainingData

HR = {"type": "HRFolders", "hr": ["photos"]}
PAIRED = {"type": "PairedFolders", "hr": ["a"], "lr": ["b"]}
CLIPS = {"type": "FrameFolders", "hr": ["clips"]}
LIGHT = {"type": "Light"}


def read(**keys: Any) -> TrainingData:
    return TrainingData.model_validate({"source": HR, **keys})


def test_kinds_without_a_share_are_never_drawn() -> None:
    options = AugmentationOptions(probability=0.25, rgb=1, mixup=3)
    assert build_augmentation(options) == BatchAugmentation(0.25, {"rgb": 1.0, "mixup": 3.0})


def test_sharpening_has_real_esrgans_parameters_and_targets_by_default() -> None:
    assert build_sharpening(SharpeningOptions()) == Sharpening(51, 0.5, 10.0, only_targets=True)
    assert not build_sharpening(SharpeningOptions(targets="all")).only_targets


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"augmentation": {}}, "expected a share above 0 for one of rgb, blend, mixup"),
        ({"augmentation": {"mixup": 1}, "batch_size": 1}, "expected a batch_size above 1"),
        ({"augmentation": {"cutblur": 1}}, "cutblur: expected a degradation, or PairedFolders"),
        ({"augmentation": {"rgb": 1}, "source": CLIPS}, "expected a source of images, got Frame"),
        ({"sharpening": {}}, "sharpening: expected a degradation, got none"),
        ({"sharpening": {"kernel_size": 50}, "degradation": LIGHT}, "expected an odd number"),
    ],
)
def test_what_cannot_work_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(**keys)


def test_cutblur_is_for_lr_that_is_more_than_downscaled() -> None:
    read(augmentation={"cutblur": 1}, degradation=LIGHT)
    read(augmentation={"cutblur": 1}, source=PAIRED)
    mixed = {"type": "Mixed", "sources": [{"share": 1, "source": s} for s in (HR, PAIRED)]}
    with pytest.raises(ValueError, match="cutblur"):
        read(augmentation={"cutblur": 1}, source=mixed)


def test_single_crops_can_change_their_colors() -> None:
    read(augmentation={"rgb": 1, "blend": 1}, batch_size=1)
