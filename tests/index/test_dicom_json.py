"""The header of an instance as DICOM JSON, against pydicom's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from data_folder import DATA, needs_data, read_catalog
from json_oracle import expected_elements
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from written_objects import add_pixels, index_objects, make_dataset, write_dataset

from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.index.tables.dicom_json import describe_instance
from dsp_batch.pipeline import load_index

SERIES = [
    row["series_uuid"]
    for row in read_catalog()
    if row["series_uuid"][:8] in {"ed96988a", "79daf008", "1d2cc0cb", "87a44907", "e5298e42", "2350587d"}
]


def item(**values: Any) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


@pytest.fixture(scope="module")
def index() -> SeriesIndex:
    """Two instances that differ in values of all kinds."""
    objects = []
    for number in range(2):
        dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number + 1, Modality="CT"))
        dataset.PatientName = "Doe^Jane=漢字"
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.SliceThickness = "0.1" if number else "0.2"
        dataset.EchoTime = "0.3"
        dataset.PixelSpacing = ["0.7", "0.8"] if number else ["0.7", "0.9"]
        dataset.ReferringPhysicianName = "A^B" if number else "C^D"
        dataset.RequestAttributesSequence = Sequence([item(ScheduledProcedureStepID=f"S{number}")])
        dataset.ProcedureCodeSequence = Sequence([])
        dataset.ImageComments = "" if number else "one"
        dataset.SelectorOBValue = bytes([number]) * 6
        dataset.RedPaletteColorLookupTableData = b"\1\2"
        objects.append(write_dataset(dataset))
    return index_objects(*objects)


@pytest.mark.parametrize("row", [0, 1])
def test_a_header_equals_what_pydicom_reads_but_for_pixels_and_values_that_vary_and_are_binary(
    index: SeriesIndex, row: int
) -> None:
    found = describe_instance(index, row)

    assert found["00200013"] == {"vr": "IS", "Value": [row + 1]}
    assert found["00180050"] == {"vr": "DS", "Value": [0.1 if row else 0.2]}
    assert found["00180081"] == {"vr": "DS", "Value": [0.3]}
    assert found["00280030"] == {"vr": "DS", "Value": [0.7, 0.8 if row else 0.9]}
    assert found["00080090"] == {"vr": "PN", "Value": [{"Alphabetic": "A^B" if row else "C^D"}]}
    assert found["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "漢字"}]}
    assert found["00400275"] == {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": [f"S{row}"]}}]}
    assert found["00081032"] == {"vr": "SQ"}
    assert found["00204000"] == ({"vr": "LT"} if row else {"vr": "LT", "Value": ["one"]})
    assert found["00281201"] == {"vr": "OW", "InlineBinary": "AQI="}
    assert set(found["00720065"]) == {"vr", "BulkDataURI"}
    assert not {"7FE00010", "00020010", "00280008"} & set(found)


@pytest.mark.parametrize(
    ("pattern", "tags"),
    [
        ("patientname", ["00100010"]),
        ("*Thickness", ["00180050"]),
        ("0018,0050", ["00180050"]),
        ("(0018,0050)", ["00180050"]),
        ("0018_0050", ["00180050"]),
        ("00180050", ["00180050"]),
        ("0x00180050", ["00180050"]),
        ("0018*", ["00180050", "00180081"]),
        ("TransferSyntaxUID", ["00020010"]),
        ("nothing", []),
    ],
)
def test_patterns_choose_by_keyword_or_tag(index: SeriesIndex, pattern: str, tags: list[str]) -> None:
    assert list(describe_instance(index, 0, [pattern])) == tags


def test_several_patterns_choose_what_any_of_them_does(index: SeriesIndex) -> None:
    assert list(describe_instance(index, 0, ["KVP", "Modality", "EchoTime"])) == ["00080060", "00180081"]


def approximate(element: dict[str, Any]) -> dict[str, Any]:
    """The element with decimal numbers as 32 bits keep them, as far as their digits do not show."""
    if element["vr"] != "DS" or not element.get("Value"):
        return element
    return {"vr": "DS", "Value": [pytest.approx(value, rel=1e-7) for value in element["Value"]]}


@needs_data
@pytest.mark.parametrize("series", SERIES)
def test_headers_of_real_series_equal_pydicoms(series: str) -> None:
    folder = DATA / "series" / series
    index = load_index(folder)
    row = len(index) // 2
    dataset = dcmread(folder / index.object_names[row])
    for keyword in ("PixelData", "FloatPixelData"):
        if keyword in dataset:
            del dataset[keyword]

    found = json.loads(json.dumps(describe_instance(index, row)))

    expected = expected_elements(dataset)
    kept = {tag: element for tag, element in found.items() if "BulkDataURI" not in element}
    assert set(found) == set(expected)
    assert kept == {tag: approximate(expected[tag]) for tag in kept}
