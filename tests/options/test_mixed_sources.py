from collections.abc import Mapping
from pathlib import Path

import pytest

from sr.options.datasets import TrainingData, ValidationData
from sr.options.image_sources import HRFolders, Mixed, Synthetic

HR = {"type": "HRFolders", "hr": ["photos"], "hr_scale": [0.25, 1.0]}
PAIRED = {"type": "PairedFolders", "hr": ["a"], "lr": ["b"]}
CLIPS = {"type": "FrameFolders", "hr": ["clips"]}


def mix(*sources: Mapping[str, object], share: float = 1.0) -> dict[str, object]:
    parts = [{"share": share if index else 1.0, "source": s} for index, s in enumerate(sources)]
    return {"type": "Mixed", "sources": parts}


def data(**keys: object) -> TrainingData:
    return TrainingData.model_validate(keys)


def test_sources_are_mixed_by_shares() -> None:
    source = data(source=mix(HR, {"type": "Synthetic"}, share=0.25)).source
    assert isinstance(source, Mixed)
    photos, drawn = source.sources
    assert photos.source == HRFolders(type="HRFolders", hr=(Path("photos"),), hr_scale=(0.25, 1.0))
    assert drawn.source == Synthetic(type="Synthetic")
    assert (photos.share, drawn.share) == (1.0, 0.25)


def test_mixtures_of_hr_images_can_be_degraded() -> None:
    blind = {"type": "Light"}
    data(source={"type": "Synthetic"}, degradation=blind)
    data(source=mix(HR, {"type": "Synthetic"}), degradation=blind)
    with pytest.raises(ValueError, match=r"degradation makes lr from hr: .* got 'PairedFolders'"):
        data(source=mix(HR, PAIRED), degradation=blind)
    data(source=mix(HR, PAIRED))


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (mix(), "at least 1 item"),
        (mix(HR, CLIPS), "does not match any of the expected tags"),
        (mix(HR, mix(HR)), "does not match any of the expected tags"),
        (mix(HR, HR, share=0.0005), "expected shares of at least a thousandth"),
        (mix(HR, HR, share=0), "greater than 0"),
        ({**HR, "hr_scale": [1.0, 0.5]}, r"hr_scale\n.*expected the smaller number first"),
        ({**HR, "hr_scale": [0.5, 1.5]}, "less than or equal to 1"),
        ({"type": "Synthetic", "svg": 1}, "svg_folders: expected .* or neither, got 1 and 0"),
        ({"type": "Synthetic", "svg_folders": ["a"]}, "or neither, got 0 and 1 folders"),
        ({"type": "Synthetic", "text_size": [20, 10]}, r"text_size\n.*expected the smaller"),
        (
            {"type": "Synthetic", "text": 0, "graphics": 0, "patterns": 0, "facades": 0},
            "expected a share above 0",
        ),
    ],
)
def test_what_cannot_be_is_refused(source: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        data(source=source)


def test_residuals_are_not_measured_of_clips() -> None:
    with pytest.raises(ValueError, match="expected gradient for clips, got residual"):
        data(source=CLIPS, detail_measure="residual")


def test_validation_images_keep_their_size() -> None:
    with pytest.raises(ValueError, match="hr_scale: expected none in validation"):
        ValidationData.model_validate({"name": "a", "source": HR})
