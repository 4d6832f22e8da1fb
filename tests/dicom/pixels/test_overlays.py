"""Overlay planes, from their own data and from unused bits of the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.overlays import combine_overlays, overlay_data_tags
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PixelFormat


def image(rows: int = 3, columns: int = 4, **changes: Any) -> PixelFormat:
    known: dict[str, Any] = {
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "rows": rows,
        "columns": columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric": "MONOCHROME2",
        "bits_allocated": 16,
        "bits_stored": 12,
        "high_bit": 11,
        "signed": False,
    }
    return PixelFormat(**{**known, **changes})


def overlay(plane: np.ndarray, origin: tuple[int, int] = (1, 1), group: str = "6000", **more: Any) -> dict[str, Any]:
    rows, columns = plane.shape[-2:]
    data = np.packbits(plane.astype(np.uint8).ravel(), bitorder="little").tobytes()
    values = {"0010": rows, "0011": columns, "0050": list(origin), "0100": 1, "0102": 0, "3000": data}
    return {f"{group}_{element}": value for element, value in {**values, **more}.items()}


def burned(attributes: dict[str, Any], pixels: PixelFormat, words: bytes | None = None, frame: int = 0) -> Any:
    combined = combine_overlays(Attributes(attributes), pixels, words, frame)
    return None if combined is None else combined.astype(int).tolist()


@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
def test_planes_unpack_as_pydicom_unpacks_them(rows: int, columns: int, random: Any) -> None:
    plane = np.array([[random.random() < 0.5 for _ in range(columns)] for _ in range(rows)])
    dataset = pydicom.Dataset()
    for tag, vr, value in ((0x60000010, "US", rows), (0x60000011, "US", columns), (0x60000100, "US", 1)):
        dataset.add_new(tag, vr, value)
    dataset.add_new(0x60003000, "OW", overlay(plane)["6000_3000"])

    assert burned(overlay(plane), image(rows, columns)) == dataset.overlay_array(0x6000).tolist()


def test_an_image_without_overlays_has_none() -> None:
    assert burned({}, image()) is None
    assert overlay_data_tags(Attributes({})) == frozenset()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ((1, 1), [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]),
        ((3, 4), [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]),
        ((0, 0), [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ((9, 9), [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ((-9, 1), [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_a_plane_is_clipped_where_it_reaches_beyond_the_image(
    origin: tuple[int, int], expected: list[list[int]]
) -> None:
    assert burned(overlay(np.ones((2, 2)), origin), image()) == expected


def test_planes_of_several_groups_add_up() -> None:
    first, second = np.zeros((3, 4)), np.zeros((3, 4))
    first[0, 0] = second[2, 3] = 1
    both = overlay(first) | overlay(second, group="601e")

    assert burned(both, image()) == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert overlay_data_tags(Attributes(both)) == {0x60003000, 0x601E3000}


def test_planes_in_unused_bits_come_from_the_pixels() -> None:
    words = np.array([[0x1001, 0x0FFF, 0x8000, 0x1000]] * 3, "<u2").tobytes()
    described = {"6000_0010": 3, "6000_0011": 4, "6000_0100": 16, "6000_0102": 12}

    assert burned(described, image(), words) == [[1, 0, 0, 1]] * 3
    assert burned(described, image(), None) is None


def test_a_plane_in_bits_that_hold_values_is_damage() -> None:
    described = {"6000_0010": 3, "6000_0011": 4, "6000_0100": 16, "6000_0102": 11}

    with pytest.raises(PixelError, match="bit 11"):
        burned(described, image(), bytes(24))


def test_planes_of_a_multi_frame_image_belong_to_the_frames_they_name() -> None:
    planes = np.stack([np.eye(3, 4), np.fliplr(np.eye(3, 4))])
    described = overlay(planes, **{"0015": 2, "0051": 2}) | {"NumberOfFrames": 4}

    assert burned(described, image(), frame=0) is None
    assert burned(described, image(), frame=1) == planes[0].tolist()
    assert burned(described, image(), frame=2) == planes[1].tolist()
    assert burned(described, image(), frame=3) is None


def test_a_plane_without_a_number_belongs_to_all_frames() -> None:
    assert burned(overlay(np.eye(3, 4)) | {"NumberOfFrames": 9}, image(), frame=7) == np.eye(3, 4).tolist()


def test_missing_data_are_blank() -> None:
    described = overlay(np.ones((3, 4)))
    described["6000_3000"] = described["6000_3000"][:1]

    assert burned(described, image()) == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(PixelError, match="65535 × 65535"):
        burned(overlay(np.ones((1, 1)), **{"0010": 65535, "0011": 65535}), image())
