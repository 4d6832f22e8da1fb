"""How fast an object is meant to be shown."""

from __future__ import annotations

from typing import Any

import pytest

from dsp_batch.dicom.frame_rate import describe_frame_rate
from dsp_batch.dicom.headers.attributes import Attributes


@pytest.mark.parametrize(
    ("values", "rate"),
    [
        ({"FrameTime": 40.0}, 25),
        ({"CineRate": 30}, 30),
        ({"RecommendedDisplayFrameRate": 15}, 15),
        ({"FrameTimeVector": [0.0, 50.0, 150.0]}, 10),
        ({"FrameTime": 40.0, "CineRate": 30, "RecommendedDisplayFrameRate": 15}, 25),
        ({"CineRate": 30, "RecommendedDisplayFrameRate": 15, "FrameTimeVector": [0.0, 50.0]}, 30),
        ({"FrameTime": 0.0, "CineRate": 12}, 12),
        ({"FrameTime": -5.0}, None),
        ({"FrameTime": "fast"}, None),
        ({"CineRate": 10**9}, None),
        ({"FrameTimeVector": [0.0]}, None),
        ({"FrameTimeVector": []}, None),
        ({}, None),
    ],
)
def test_the_rate_comes_from_the_first_element_that_tells_a_usable_one(
    values: dict[str, Any], rate: float | None
) -> None:
    assert describe_frame_rate(Attributes(values)) == rate
