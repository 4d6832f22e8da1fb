"""No element of a real series is lost: the index file alone gives back what pydicom reads from each object."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pydicom
import pytest
from data_folder import DATA, load_real_index, needs_data, open_store, read_catalog
from index_files import columns_by_tag, open_index_file
from json_oracle import expected_json
from pydicom.dataelem import DataElement
from pydicom.uid import ExplicitVRBigEndian

from dsp_batch.dicom.headers.elements import LARGE_VALUE
from dsp_batch.errors import DspBatchError
from dsp_batch.index.parquet import parse_index, serialize_index
from dsp_batch.model.frame import EncodedImage
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import render_preview
from dsp_batch.render.compose import FrameSource

pytestmark = [needs_data, pytest.mark.filterwarnings("ignore:Expected explicit VR")]

SERIES = [row["series_uuid"] for row in read_catalog() if int(row["n_instances"]) > 1]
WITH_PIXELS = [row["series_uuid"] for row in read_catalog() if row["decodes_with"] != "no pixel data"]
_PIXELS = range(0x7FE00008, 0x7FE00011)
_NARROW = {0x00201041: pa.float32()}
"""Elements whose type the schema fixes: SliceLocation, though it may have more digits than a float32."""


def as_written(element: DataElement) -> list[Any]:
    """The values of an element as pydicom gives them, numbers as numbers."""
    values = expected_json(element).get("Value", [])
    if element.VR == "PN":
        return ["=".join(name.values()) for name in values]
    return list(values)


def same_number(found: float, element: DataElement, expected: float, kind: pa.DataType) -> bool:
    """Whether a column holds a number to its last written digit."""
    if found == expected or (math.isnan(found) and math.isnan(expected)):
        return True
    if kind != pa.float32():
        return False
    if element.VR == "FL" or int(element.tag) in _NARROW:
        return bool(np.float32(expected) == np.float32(found))
    digits = len(repr(abs(expected)).partition("e")[0].replace(".", "").strip("0"))
    return element.VR == "DS" and f"{found:.{digits}g}" == f"{expected:.{digits}g}"


def check_value(element: DataElement, found: Any, kind: pa.DataType) -> None:
    """Hold the value of a column against the element of one object."""
    expected = as_written(element)
    if element.VR == "SQ":
        assert json.loads(found) == expected
        return
    if pa.types.is_list(kind):
        kind = kind.value_type
    values = found if isinstance(found, list) else [] if found in (None, "") else [found]
    if expected in ([], [""]):
        assert values in (expected, [])
    elif pa.types.is_string(kind):
        assert values == [str(value) for value in expected]
    else:
        assert len(values) == len(expected)
        assert all(same_number(a, element, b, kind) for a, b in zip(values, expected, strict=True))


def check_element(element: DataElement, row: Mapping[str, Any], names: dict[str, str], table: pa.Table) -> None:
    """Find an element of one object among the columns of its row."""
    if "value" in names:
        check_value(element, row[names["value"]], table.schema.field(names["value"]).type)
        return
    value = element.value or b""
    assert row[names["size"]] == len(value)
    expected = hashlib.sha256(value).hexdigest() if len(value) <= LARGE_VALUE else None
    assert row[names["hash"]] == expected


@pytest.mark.parametrize("series_uuid", SERIES)
def test_every_element_of_every_object_is_in_the_file(series_uuid: str) -> None:
    table, description = open_index_file(load_real_index(series_uuid))
    by_tag, constants = columns_by_tag(table), description["constants"]
    rows = table.to_pylist()
    assert constants.keys().isdisjoint(f"{tag:08X}" for tag in by_tag)
    for row in (rows[0], rows[-1]):
        dataset = pydicom.dcmread(DATA / "series" / series_uuid / row["FileName"], force=True)
        big_endian = dataset.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
        elements = {
            int(tag): part
            for part in (dataset.file_meta, dataset)
            for tag in part.keys()  # noqa: SIM118  # a Dataset iterates over elements, not tags
            if tag & 0xFFFF
        }
        present = {tag for tag in elements if tag not in _PIXELS and tag < 0x7FE00010}
        for tag in present:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's remarks on odd values
                element = elements[tag][tag]
                if f"{tag:08X}" in constants:
                    assert constants[f"{tag:08X}"] == expected_json(element, big_endian=big_endian)
                else:
                    check_element(element, row, by_tag[tag], table)
        absent = by_tag.keys() - present - {0x00280008, 0x00020010}  # columns that are always filled
        assert all(row[name] is None for tag in absent for name in by_tag[tag].values())


@pytest.mark.parametrize("series_uuid", SERIES)
def test_constants_are_what_all_objects_have_and_columns_what_varies(series_uuid: str) -> None:
    table, description = open_index_file(load_real_index(series_uuid))
    always = {0x00200013, 0x00080018, 0x00201041, 0x00280008, 0x00020010}

    for tag, names in columns_by_tag(table).items():
        if tag in always or names.keys() == {"size", "hash"}:
            continue  # a large binary value is a column even where it may be the same
        values = table.column(names["value"]).to_pylist()
        is_empty = values == [None] * len(values)  # a number that some have empty and others not at all
        assert is_empty or len({json.dumps(value) for value in values}) > 1, names
    assert not always & {int(tag, 16) for tag in description["constants"]}


def test_indices_of_all_series_open_as_one_table() -> None:
    import pandas as pd

    tables = [open_index_file(load_real_index(series_uuid))[0] for series_uuid in SERIES]

    frame = pd.concat([table.to_pandas() for table in tables], ignore_index=True)

    assert len(frame) == sum(len(table) for table in tables)
    for name in ("Index", "FileName", "SeriesUID", "ObjectSize", "TransferSyntaxUID"):
        assert frame[name].notna().all()


@pytest.mark.parametrize("series_uuid", WITH_PIXELS)
def test_a_picture_is_the_same_from_the_headers_and_from_the_cached_index(series_uuid: str) -> None:
    index = load_real_index(series_uuid)
    reread = parse_index(serialize_index(index, "1"))
    pictures: list[EncodedImage | str] = []

    for each in (index, reread):
        options = MosaicOptions(tile_width=2, image_width=32)
        try:
            pictures.append(render_preview(each, FrameSource(store=open_store()), options, ".webp"))
        except DspBatchError as error:
            pictures.append(error.message)

    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("series_uuid", WITH_PIXELS)
def test_a_new_index_knows_the_frames_that_its_file_tells(series_uuid: str) -> None:
    index = load_real_index(series_uuid)
    read = parse_index(serialize_index(index, "test"))

    for name in ("instance", "frame", "position", "orientation", "slice_location", "instance_number", "times"):
        np.testing.assert_array_equal(getattr(index.frames, name), getattr(read.frames, name), err_msg=name)
    assert (index.frames.sop_instance_uid, index.frames.name) == (read.frames.sop_instance_uid, read.frames.name)
