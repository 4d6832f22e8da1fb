"""Structure sets: each region has a row that says what pydicom reads."""

from __future__ import annotations

import pydicom
import pytest
from data_folder import needs_data
from objects_without_pixels import CANARY, OBJECTS, list_texts, load_instances, make_item

from dsp_batch.kinds.objects.structures import describe_structures, state_structures


def test_a_region_without_contours_has_a_row() -> None:
    regions = [make_item(ROINumber=1, ROIName="Heart"), make_item(ROINumber=2)]
    contour = make_item(ContourData=[0.0, 0, 5, 1, 0, 5, 1, 1, 5], ContourGeometricType="CLOSED_PLANAR")
    contours = [make_item(ReferencedROINumber=1, ContourSequence=[contour, contour])]
    header = make_item(StructureSetROISequence=regions, ROIContourSequence=contours, OperatorsName=CANARY)

    card = describe_structures({0: header})

    assert card.rows == (("Heart", "", "1", "6"), ("ROI 2", "", "", "no contours"))
    assert not any("CANARY" in text for text in list_texts(card))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"StructureSetROISequence": b"damaged"},
        {"StructureSetROISequence": [make_item()], "ROIContourSequence": [make_item(ContourSequence=[make_item()])]},
        {
            "StructureSetROISequence": [make_item(ROINumber=1)],
            "ROIContourSequence": [
                make_item(ReferencedROINumber=1, ContourSequence=[make_item(ContourData=["x", None, float("nan")])])
            ],
        },
    ],
)
def test_a_damaged_structure_set_is_a_card(values: dict[str, object]) -> None:
    header = make_item(**values)

    assert describe_structures({0: header}).kind == "RTSTRUCT"
    assert state_structures({0: header}) is not None


@needs_data
@pytest.mark.parametrize(
    "folder",
    [
        "rtstruct-breast-10-rois",
        "rtstruct-head-neck-raystation",
        "made-rtstruct-seed-point",
        "rtstruct-head-phantom-proton",
    ],
)
def test_regions_are_those_of_pydicom(folder: str) -> None:
    (path,) = (OBJECTS / folder).glob("*.dcm")
    dataset = pydicom.dcmread(path, force=True)
    points = dict.fromkeys((item.ROINumber for item in dataset.StructureSetROISequence), 0)
    planes: dict[int, set[float]] = {number: set() for number in points}
    for item in dataset.ROIContourSequence:
        for contour in item.get("ContourSequence", []):
            points[item.ReferencedROINumber] += len(contour.ContourData) // 3
            planes[item.ReferencedROINumber].add(round(contour.ContourData[2], 2))

    card = describe_structures(load_instances(folder))
    stated = state_structures(load_instances(folder))

    assert [row[0] for row in card.rows] == [item.ROIName for item in dataset.StructureSetROISequence]
    assert [each.value for each in stated if each.concept == "points"] == list(points.values())
    assert [each.value for each in stated if each.concept == "planes"] == [len(each) for each in planes.values()]
