"""Where the frames of nuclear medicine objects lie: on their detectors, stacked with the sign of their spacing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from written_objects import add_pixels, index_objects, make_dataset, write_dataset

from dsp_batch.index.detectors import place_by_detectors
from dsp_batch.index.series_index import SeriesIndex

RECON = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
FRONT, BACK = [1, 0, 0, 0, 0, -1], [-1, 0, 0, 0, 0, -1]


def make_detector(position: list[float] | None, orientation: list[float] | None = None) -> Dataset:
    detector = Dataset()
    detector.ImagePositionPatient = position
    detector.ImageOrientationPatient = orientation or [1, 0, 0, 0, 1, 0]
    return detector


def index_nuclear(detectors: list[Dataset], frames: int, **values: Any) -> SeriesIndex:
    dataset = make_dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.20", DetectorInformationSequence=detectors, **values)
    return index_objects(write_dataset(add_pixels(dataset, frames=frames)))


def shown(index: SeriesIndex) -> list[int]:
    return index.frames.frame[index.order.permutation].tolist()


@settings(deadline=None)
@given(
    first=st.floats(-500, 500),
    spacing=st.floats(0.5, 20),
    sign=st.sampled_from([1, -1]),
    frames=st.integers(2, 12),
    has_vector=st.booleans(),
)
def test_slices_are_stacked_with_the_sign_of_their_spacing(
    first: float, spacing: float, sign: int, frames: int, *, has_vector: bool
) -> None:
    step = round(sign * spacing, 3)
    vector = {"SliceVector": list(range(1, frames + 1))} if has_vector else {}
    index = index_nuclear(
        [make_detector([0, 0, round(first, 3)])], frames, ImageType=RECON, SpacingBetweenSlices=step, **vector
    )

    np.testing.assert_allclose(index.frames.position[:, 2], round(first, 3) + step * np.arange(frames))
    assert set(index.order.axis) == {"Z"}
    assert shown(index) == (list(range(frames)) if sign < 0 else list(range(frames))[::-1])


def test_the_slice_vector_tells_the_slice_of_each_frame() -> None:
    index = index_nuclear(
        [make_detector([0, 0, 0])], 4, ImageType=RECON, SpacingBetweenSlices=-2, SliceVector=[3, 1, 2, 4]
    )

    assert shown(index) == [1, 2, 0, 3]


def test_gated_slices_follow_one_another_time_by_time() -> None:
    index = index_nuclear(
        [make_detector([0, 0, 0])], 6, ImageType=[*RECON[:2], "RECON GATED TOMO"], SliceThickness=4, NumberOfSlices=3
    )

    assert index.frames.position[:, 2].tolist() == [0, 4, 8, 0, 4, 8]
    assert shown(index) == [2, 5, 1, 4, 0, 3]


def test_frames_of_several_detectors_lie_where_their_own_does() -> None:
    index = index_nuclear(
        [make_detector([0, -200, 0], FRONT), make_detector([0, 200, 0], BACK)],
        4,
        ImageType=["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"],
        DetectorVector=[1, 2, 1, 2],
    )

    assert index.frames.position[:, 1].tolist() == [-200, 200, -200, 200]
    assert index.frames.orientation[:, 0].tolist() == [1, -1, 1, -1]
    assert not index.order.has_main
    assert shown(index) == [0, 2, 1, 3]


@pytest.mark.parametrize("kind", ["TOMO", "GATED TOMO"])
def test_projections_of_a_turning_detector_have_no_position(kind: str) -> None:
    index = index_nuclear([make_detector([0, -200, 0], FRONT)], 3, ImageType=[*RECON[:2], kind, "EMISSION"])

    assert set(index.order.axis) == {"I"}
    assert shown(index) == [0, 1, 2]


@pytest.mark.parametrize("spacing", [{}, {"SpacingBetweenSlices": 0}])
def test_slices_whose_spacing_is_unknown_stay_in_the_order_of_their_frames(spacing: dict[str, float]) -> None:
    index = index_nuclear([make_detector([0, 0, 0])], 3, ImageType=RECON, **spacing)

    assert set(index.order.axis) == {"I"}
    assert shown(index) == [0, 1, 2]


def test_what_a_detector_leaves_out_the_top_level_tells() -> None:
    index = index_nuclear(
        [make_detector(None)],
        3,
        ImageType=RECON,
        SpacingBetweenSlices=-2,
        ImagePositionPatient=[0, 0, 50],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
    )

    assert index.frames.position[:, 2].tolist() == [50, 48, 46]


@settings(deadline=None)
@given(
    vectors=st.fixed_dictionaries(
        {},
        optional={
            "SliceVector": st.lists(st.integers(0, 65535), max_size=4),
            "DetectorVector": st.lists(st.integers(0, 65535), max_size=4),
            "NumberOfSlices": st.integers(0, 65535),
            "SpacingBetweenSlices": st.sampled_from([1e30, -3, 0, 2.5]),
        },
    ),
    detectors=st.integers(1, 3),
    kind=st.sampled_from(["RECON TOMO", "STATIC", ""]),
)
def test_frames_are_placed_all_or_none_whatever_the_vectors_hold(
    vectors: dict[str, Any], detectors: int, kind: str
) -> None:
    index = index_nuclear(
        [make_detector([0, 0, 10 * number]) for number in range(detectors)], 4, ImageType=[*RECON[:2], kind], **vectors
    )
    position, orientation = np.full((4, 3), np.nan), np.full((4, 6), np.nan)

    placed = place_by_detectors(index.attributes(0), position, orientation)

    assert np.isfinite(position).all() == placed
    assert sorted(shown(index)) == [0, 1, 2, 3]
