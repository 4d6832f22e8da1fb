"""Overlay planes, from their own data and from unused bits of the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
import pytest
from datasets import DATA, needs_data, read_source
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.overlays import combine_overlays, overlay_data_tags
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
    mask = combine_overlays(Attributes(attributes), pixels, words, frame).mask
    return None if mask is None else mask.astype(int).tolist()


def notes_on(attributes: dict[str, Any], pixels: PixelFormat, words: bytes | None = None) -> tuple[str, ...]:
    return combine_overlays(Attributes(attributes), pixels, words, 0).notes


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
    assert "unused bits of pixels that are compressed" in notes_on(described, image())[0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_planes_lie_in_unused_bits_of_words_of_any_size_and_order(size: int, order: str) -> None:
    bits = size * 8
    words = np.array([[1, 1 << (bits - 1), 0, (1 << (bits - 1)) + 5]] * 3, f"{order}u{size}").tobytes()
    described = {"6000_0010": 3, "6000_0011": 4, "6000_0100": bits, "6000_0102": bits - 1}
    syntax = ExplicitVRBigEndian if order == ">" else ExplicitVRLittleEndian
    pixels = image(bits_allocated=bits, bits_stored=bits - 2, high_bit=bits - 3, transfer_syntax_uid=syntax)

    assert burned(described, pixels, words) == [[0, 1, 0, 1]] * 3


@pytest.mark.parametrize(("position", "named"), [(0, "bit 0"), (11, "bit 11"), (16, "bit 16"), (-1, "bit -1")])
def test_a_plane_in_bits_that_hold_values_is_left_out(position: int, named: str) -> None:
    described = {"6000_0010": 3, "6000_0011": 4, "6000_0100": 16, "6000_0102": position}

    assert burned(described, image(), bytes(24)) is None
    (note,) = notes_on(described, image(), bytes(24))
    assert note.startswith("Overlay 6000 is left out")
    assert named in note


@pytest.mark.parametrize("bits", [None, 0, 1, 8, 16, 99])
def test_a_plane_with_data_is_read_from_them_whatever_bits_allocated_says(bits: int | None) -> None:
    plane = np.eye(3, 4)

    assert burned(overlay(plane, **{"0100": bits, "0102": 3}), image()) == plane.tolist()


@pytest.mark.parametrize("bits", [8, 16])
def test_a_plane_may_have_a_word_for_each_pixel(bits: int) -> None:
    plane = np.eye(3, 4)
    data = (plane * 255).astype(f"<u{bits // 8}").tobytes()

    assert burned(overlay(plane, **{"0100": bits, "3000": data}), image()) == plane.tolist()


numbers = st.none() | st.integers(-(2**31), 2**31) | st.floats() | st.text(max_size=3) | st.binary(max_size=9)


@settings(deadline=None, max_examples=300)
@given(
    description=st.fixed_dictionaries(
        {"0010": numbers, "0011": numbers, "0015": numbers, "0050": st.lists(numbers, max_size=3) | numbers}
        | {"0051": numbers, "0100": numbers, "0102": numbers, "3000": numbers}
    ),
    words=st.none() | st.binary(max_size=30),
    frame=st.integers(0, 3),
)
def test_no_description_of_an_overlay_costs_the_image(
    description: dict[str, Any], words: bytes | None, frame: int
) -> None:
    attributes = Attributes({f"6000_{element}": value for element, value in description.items()})

    mask, notes = combine_overlays(attributes, image(), words, frame)

    assert mask is None or mask.shape == (3, 4)
    assert all(note.startswith("Overlay 6000 is left out: ") for note in notes)


REPORTS = {
    "overlay-16-bits-with-data": (),
    "overlay-in-pixel-bits": ("Overlay 6000 is left out: it has no data, and lies in bit 3, which holds pixel values",),
    "overlay-embedded-position-zero": (
        "Overlay 6000 is left out: it has no data, and lies in bit 0, which holds pixel values",
    ),
}


@needs_data
@pytest.mark.parametrize("report", REPORTS)
def test_an_overlay_that_is_badly_described_leaves_the_image(report: str) -> None:
    path = DATA / "reports" / report / "1.dcm"
    attributes, source, data = read_source(path)

    mask, notes = combine_overlays(attributes, source.pixels, data[source.pixel_data_offset :], 0)

    assert notes == REPORTS[report]
    if notes:
        assert mask is None
    else:
        dataset = pydicom.dcmread(path)
        dataset[0x60000100].value = 1
        assert mask is not None
        assert mask.tolist() == dataset.overlay_array(0x6000).astype(bool).tolist()


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


def test_an_impossible_size_is_left_out() -> None:
    described = overlay(np.ones((1, 1)), **{"0010": 65535, "0011": 65535})

    assert burned(described, image()) is None
    assert notes_on(described, image()) == ("Overlay 6000 is left out: it claims 65535 × 65535 pixels",)
