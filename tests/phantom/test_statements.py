"""Objects that speak of the phantom CT: they refer to it, and what they say of it is true."""

from __future__ import annotations

import io
import math

import numpy as np
import pydicom
import pytest

from dsp_batch.phantom.series import build_ct
from dsp_batch.phantom.statements import (
    build_measurements,
    build_presentation_state,
    build_segmentation,
    build_structure_set,
)


def read_only(series: object) -> pydicom.FileDataset:
    (item,) = series.objects  # type: ignore[attr-defined]
    return pydicom.dcmread(io.BytesIO(item.data))


@pytest.fixture(scope="module")
def slices() -> dict[str, pydicom.FileDataset]:
    read = (pydicom.dcmread(io.BytesIO(item.data)) for item in build_ct().objects)
    return {instance.SOPInstanceUID: instance for instance in read}


def test_all_of_them_are_of_the_study_of_the_ct(slices: dict[str, pydicom.FileDataset]) -> None:
    ct = next(iter(slices.values()))

    for build in (build_measurements, build_structure_set, build_presentation_state, build_segmentation):
        instance = read_only(build())
        assert instance.StudyInstanceUID == ct.StudyInstanceUID
        assert instance.PatientID == ct.PatientID
        assert instance.SeriesInstanceUID != ct.SeriesInstanceUID


def test_the_report_is_read_by_highdicom() -> None:
    from highdicom.sr import EnhancedSR

    report = EnhancedSR.from_dataset(read_only(build_measurements()))

    groups = report.content[0].ContentSequence[0].ContentSequence
    assert len(groups) == 7
    assert groups[2].ContentSequence[3].MeasuredValueSequence[0].NumericValue == pytest.approx(
        4 / 3 * math.pi * 82 * 72 * 62, rel=1e-5
    )


def test_contours_lie_on_the_slices_that_they_name(slices: dict[str, pydicom.FileDataset]) -> None:
    contours = [
        contour for region in read_only(build_structure_set()).ROIContourSequence for contour in region.ContourSequence
    ]

    assert len(contours) == 74
    for contour in contours:
        image = slices[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        assert {float(value) for value in contour.ContourData[2::3]} == {float(image.ImagePositionPatient[2])}


def test_segments_have_the_volume_of_their_organs(slices: dict[str, pydicom.FileDataset]) -> None:
    segmentation = read_only(build_segmentation())
    spacing = [float(value) for value in next(iter(slices.values())).PixelSpacing]
    of_liver = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 3
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]
    voxels = int(np.count_nonzero(segmentation.pixel_array[of_liver]))

    assert voxels * spacing[0] * spacing[1] * 10 == pytest.approx(4 / 3 * math.pi * 82 * 72 * 62, rel=0.02)


def test_the_circle_of_the_state_lies_around_the_sphere(slices: dict[str, pydicom.FileDataset]) -> None:
    state = read_only(build_presentation_state())
    annotation = state.GraphicAnnotationSequence[0]
    image = slices[annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID]
    column, row, edge, _ = annotation.GraphicObjectSequence[0].GraphicData
    rows, columns = np.mgrid[1:257, 1:257]
    distance = np.hypot(rows - row, columns - column)

    values = image.pixel_array - 1024
    assert values[distance < 10].mean() == pytest.approx(300, abs=30)
    assert values[np.abs(distance - (edge - column)) < 1].mean() < -600
