from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sr.options.flow import DISOptions, FarnebackOptions, FlowOptions, RAFTOptions

ADAPTER: TypeAdapter[FlowOptions] = TypeAdapter(FlowOptions)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "DIS"}, DISOptions(type="DIS")),
        ({"type": "Farneback"}, FarnebackOptions(type="Farneback")),
        ({"type": "RAFT"}, RAFTOptions(type="RAFT", size="small", weights="torchvision")),
        (
            {"type": "RAFT", "size": "large", "weights": "weights/raft.pth"},
            RAFTOptions(type="RAFT", size="large", weights=Path("weights/raft.pth")),
        ),
    ],
)
def test_the_type_selects_the_options_and_they_come_back_from_json(
    given: dict[str, str], expected: FlowOptions
) -> None:
    options = ADAPTER.validate_python(given)
    assert options == expected
    assert ADAPTER.validate_json(ADAPTER.dump_json(options)) == expected


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"type": "SPyNet"}, "'DIS', 'Farneback', 'RAFT'"),
        ({"type": "RAFT", "size": "medium"}, "'small' or 'large'"),
        ({"type": "DIS", "weights": "torchvision"}, "Extra inputs"),
    ],
)
def test_what_is_not_offered_is_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        ADAPTER.validate_python(given)
