"""Grid images: slices side by side in one frame."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from data_folder import DATA, needs_data, parse_file
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.dicom.grids import Grid, crop_slice, describe_grid, parse_csa
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.values import HeaderDecoder

MOSAIC: dict[str, Any] = {
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"],
    "Rows": 120,
    "Columns": 120,
    "PixelSpacing": [2.0, 3.0],
    "SpacingBetweenSlices": 4.0,
    "ImagePositionPatient": [-180.0, -120.0, 10.0],
    "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    "0019_0010": "SIEMENS MR HEADER",
    "0019_100a": 7,
    "0029_0010": "SIEMENS CSA HEADER",
}


def private(group: int, block: int, creator: str, elements: dict[int, Any]) -> dict[str, Any]:
    """Private elements in a block, with the creator that reserves it."""
    named = {f"{group:04x}_{block:02x}{element:02x}": value for element, value in elements.items()}
    return {f"{group:04x}_{block:04x}": creator, **named}


def write_csa(tags: dict[str, list[str]]) -> bytes:
    """A CSA header of the second version."""
    data = b"SV10\x04\x03\x02\x01" + struct.pack("<II", len(tags), 77)
    for name, texts in tags.items():
        data += struct.pack("<64sI4sIII", name.encode(), len(texts), b"FD", 4, len(texts), 77)
        for text in texts:
            padded = text.encode().ljust((len(text) // 4 + 1) * 4, b"\0")
            data += struct.pack("<IIII", len(padded), len(padded), 77, len(padded)) + padded
    return data


def test_a_mosaic_is_the_smallest_square_that_holds_its_slices() -> None:
    grid = describe_grid(Attributes(MOSAIC))

    assert grid is not None
    assert (grid.slices, grid.rows, grid.columns) == (7, 3, 3)


def test_slices_of_a_mosaic_lie_in_the_middle_of_its_field() -> None:
    grid = describe_grid(Attributes(MOSAIC))

    # A third of 120 columns of 3 mm and of 120 rows of 2 mm is left over on either side.
    assert grid is not None
    assert grid.origin == pytest.approx((-180 + 120, -120 + 80, 10))
    assert grid.step == pytest.approx((0, 0, 4))


def test_the_normal_that_a_scanner_writes_tells_which_way_slices_go() -> None:
    csa = write_csa({"SliceNormalVector": ["0.0", "0.0", "-1.0"], "NumberOfImagesInMosaic": ["9"]})
    grid = describe_grid(Attributes({**MOSAIC, "0019_100a": None, "0029_1010": csa}))

    assert grid is not None
    assert grid.slices == 9
    assert grid.step == pytest.approx((0, 0, -4))


def test_without_private_elements_the_acquired_matrix_tells_the_grid() -> None:
    grid = describe_grid(Attributes({**MOSAIC, "0019_100a": None, "AcquisitionMatrix": [40, 0, 0, 40]}))

    assert grid is not None
    assert (grid.slices, grid.columns) == (9, 3)


blocks = st.integers(0x10, 0xFF)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(blocks, min_size=4, max_size=4, unique=True))
def test_private_elements_are_found_in_whatever_block_their_creator_reserves(at: list[int]) -> None:
    others = private(0x19, at[0], "OTHER VENDOR", {0x0A: 3}) | private(0x29, at[2], "OTHER VENDOR", {0x10: b"SV10"})
    csa = write_csa({"SliceNormalVector": ["0.0", "0.0", "-1.0"]})
    own = private(0x19, at[1], "SIEMENS MR HEADER ", {0x0A: 5}) | private(
        0x29, at[3], "SIEMENS CSA HEADER", {0x10: csa}
    )
    plain = {name: value for name, value in MOSAIC.items() if "_" not in name}

    grid = describe_grid(Attributes({**plain, **others, **own}))

    assert grid is not None
    assert (grid.slices, grid.columns) == (5, 3)
    assert grid.step == pytest.approx((0, 0, -4))


def test_an_element_without_its_creator_tells_nothing() -> None:
    plain = {name: value for name, value in MOSAIC.items() if "_" not in name}

    assert describe_grid(Attributes({**plain, **private(0x19, 0x10, "OTHER VENDOR", {0x0A: 7})})) is None


@pytest.mark.parametrize("told", [-4, 0, 10**9, 1e300, "many"])
def test_an_impossible_number_of_slices_makes_no_grid(told: Any) -> None:
    assert describe_grid(Attributes({**MOSAIC, "0019_100a": told})) is None


@needs_data
@pytest.mark.parametrize("report", ["siemens-mosaic-block-11", "siemens-mosaic-other-vendor"])
def test_a_mosaic_whose_private_block_is_another_one(report: str) -> None:
    header = parse_file(DATA / "reports" / report / "1.dcm")

    grid = describe_grid(HeaderDecoder(header).attributes())

    assert grid is not None
    assert (grid.slices, grid.rows, grid.columns) == (5, 3, 3)


def test_a_vframe_says_where_each_slice_is() -> None:
    items = [Attributes({"ImagePositionPatient": [0.0, 0.0, 5.0 * number]}) for number in range(6)]
    grid = describe_grid(
        Attributes({"ImageType": ["M", "VFRAME"], **private(0x0065, 0x10, "Image Private Header", {0x51: items})})
    )

    assert grid == Grid(slices=6, columns=3, rows=2, origin=(0, 0, 0), step=(0, 0, 5))


@pytest.mark.parametrize(
    "changes",
    [{"ImageType": ["ORIGINAL", "PRIMARY"]}, {"NumberOfFrames": 5}, {"0019_100a": None}, {"0019_100a": 1}],
)
def test_other_images_are_no_grids(changes: dict[str, Any]) -> None:
    assert describe_grid(Attributes({**MOSAIC, **changes})) is None


def test_slices_are_cut_row_by_row() -> None:
    grid = Grid(slices=5, columns=3, rows=2, origin=(), step=())
    frame = np.arange(24).reshape(4, 6)

    assert crop_slice(frame, grid, 4).tolist() == [[14, 15], [20, 21]]


@pytest.mark.parametrize("damage", [slice(0, 3), slice(0, 90), slice(4, None)])
def test_damaged_csa_headers_tell_nothing(damage: slice) -> None:
    data = write_csa({"SliceNormalVector": ["0", "0", "1"]})

    assert parse_csa(data, {"SliceNormalVector"}) == {"SliceNormalVector": (0, 0, 1)}
    assert parse_csa(data[damage], {"SliceNormalVector"}) == {}
