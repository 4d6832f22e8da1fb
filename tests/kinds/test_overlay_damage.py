"""Damaged objects, and those that point at nothing: each has a picture, and none is drawn over what is not its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from data_folder import DATA, IS_EXPECTED
from image_caches import OBJECTS, fill_cache
from pydicom import Dataset, Sequence, dcmread

from dsp_batch import PreviewOptions, preview
from dsp_batch.cache import Cache

pytestmark = pytest.mark.skipif(not OBJECTS.is_dir() and not IS_EXPECTED, reason="the pack of objects is not here")

SMALL = PreviewOptions(size=128)
CT = "ed96988a-3a9a-566c-9a25-227a18d9c04c"
SLIDE = "1c172b28-1c1b-5591-a311-92efa91343a3"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return fill_cache(tmp_path_factory.mktemp("images"), [DATA / "series" / CT, DATA / "series" / SLIDE])


def contours_of(dataset: Dataset) -> Sequence:
    found: Sequence = dataset.ROIContourSequence[0].ContourSequence
    return found


def be_of_another_patient(dataset: Dataset) -> None:
    dataset.PatientID = "someone else"


def be_in_another_frame(dataset: Dataset) -> None:
    for roi in dataset.StructureSetROISequence:
        roi.ReferencedFrameOfReferenceUID = "1.2.3"


def lie_beyond_the_images(dataset: Dataset) -> None:
    for contour in contours_of(dataset):
        contour.ContourData = [-1.0, -2.0, 9000.0] * 3
        del contour.ContourImageSequence


def have_two_points(dataset: Dataset) -> None:
    for contour in contours_of(dataset):
        contour.ContourData = list(contour.ContourData)[:6]


def have_four_numbers(dataset: Dataset) -> None:
    for contour in contours_of(dataset):
        contour.ContourData = list(contour.ContourData)[:4]


def have_no_contours(dataset: Dataset) -> None:
    del dataset.ROIContourSequence


def have_a_color_of_two_numbers(dataset: Dataset) -> None:
    dataset.ROIContourSequence[0].ROIDisplayColor = [300, 2]


def name_a_region_that_is_not_there(dataset: Dataset) -> None:
    dataset.ROIContourSequence[0].ReferencedROINumber = 99


@pytest.mark.parametrize(
    ("damage", "forms"),
    [
        (be_of_another_patient, {("picture", "absent")}),
        (be_in_another_frame, {("picture", "absent")}),
        (lie_beyond_the_images, {("picture", "absent")}),
        (have_two_points, {("overlay", "drawn")}),
        (have_four_numbers, {("overlay", "drawn")}),
        (have_no_contours, {("card", "absent")}),
        (have_a_color_of_two_numbers, {("overlay", "drawn")}),
        (name_a_region_that_is_not_there, {("card", "absent")}),
    ],
)
def test_structures(
    damage: Callable[[Dataset], None], forms: set[tuple[str, str]], images: Cache, tmp_path: Path
) -> None:
    assert draw("made-rtstruct-tumor-7-slices", damage, images, tmp_path) in forms


def have_an_empty_area(dataset: Dataset) -> None:
    dataset.DisplayedAreaSelectionSequence[0].DisplayedAreaTopLeftHandCorner = [2**30, 2**30]
    dataset.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner = [-(2**30), -(2**30)]


def turn_by_nothing_sensible(dataset: Dataset) -> None:
    dataset.ImageRotation = 7


def shut_everything(dataset: Dataset) -> None:
    dataset.ShutterShape = ["CIRCULAR", "RECTANGULAR", "POLYGONAL"]
    dataset.VerticesOfThePolygonalShutter = [1, 1, 2]


def have_graphics_of_one_point(dataset: Dataset) -> None:
    for annotation in dataset.get("GraphicAnnotationSequence", []):
        for graphic in annotation.get("GraphicObjectSequence", []):
            graphic.GraphicData = list(graphic.GraphicData)[:2]


def refer_to_itself(dataset: Dataset) -> None:
    series = dataset.ReferencedSeriesSequence[0]
    series.SeriesInstanceUID = dataset.SeriesInstanceUID
    series.ReferencedImageSequence[0].ReferencedSOPInstanceUID = dataset.SOPInstanceUID


@pytest.mark.parametrize(
    ("damage", "form"),
    [
        (have_an_empty_area, ("overlay", "drawn")),
        (turn_by_nothing_sensible, ("overlay", "drawn")),
        (shut_everything, ("overlay", "drawn")),
        (have_graphics_of_one_point, ("overlay", "drawn")),
        (refer_to_itself, ("card", "absent")),
        (be_of_another_patient, ("picture", "absent")),
    ],
)
def test_presentation_states(
    damage: Callable[[Dataset], None], form: tuple[str, str], images: Cache, tmp_path: Path
) -> None:
    assert draw("made-pr-gsps-lung-circle-text", damage, images, tmp_path) == form


def have_an_index_list_of_zeros(dataset: Dataset) -> None:
    dataset.AnnotationGroupSequence[2].LongPrimitivePointIndexList = bytes(4)


def have_points_that_are_no_numbers(dataset: Dataset) -> None:
    group = dataset.AnnotationGroupSequence[0]
    group.DoublePointCoordinatesData = b"\xff" * len(group.DoublePointCoordinatesData)


def have_half_a_point(dataset: Dataset) -> None:
    group = dataset.AnnotationGroupSequence[0]
    group.DoublePointCoordinatesData = group.DoublePointCoordinatesData[:-8]


@pytest.mark.parametrize("damage", [have_an_index_list_of_zeros, have_points_that_are_no_numbers, have_half_a_point])
def test_annotations(damage: Callable[[Dataset], None], images: Cache, tmp_path: Path) -> None:
    assert draw("made-ann-ellipse-point-polyline-2d", damage, images, tmp_path) == ("overlay", "drawn")


def point_at_no_segment(dataset: Dataset) -> None:
    for item in dataset.PerFrameFunctionalGroupsSequence:
        item.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 999


def lose_its_positions(dataset: Dataset) -> None:
    for item in dataset.PerFrameFunctionalGroupsSequence:
        del item.PlanePositionSequence


@pytest.mark.parametrize(
    ("damage", "forms"),
    [
        (be_of_another_patient, {("mosaic", "absent")}),
        (point_at_no_segment, {("overlay", "drawn")}),
        (lose_its_positions, {("overlay", "drawn"), ("mosaic", "absent")}),
    ],
)
def test_segmentations(
    damage: Callable[[Dataset], None], forms: set[tuple[str, str]], images: Cache, tmp_path: Path
) -> None:
    assert draw("made-seg-totalseg-104-segments", damage, images, tmp_path) in forms


def draw(folder: str, damage: Callable[[Dataset], None], images: Cache, tmp_path: Path) -> tuple[str, str | None]:
    dataset = dcmread(next((OBJECTS / folder).iterdir()))
    damage(dataset)
    # Another UID: the cache must not have its index from an earlier test.
    dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID[:40]}.{abs(hash(damage.__name__)) % 10**9}"
    (tmp_path / "object").mkdir()
    dataset.save_as(tmp_path / "object" / "a.dcm")
    image = preview(tmp_path / "object", SMALL, cache=images)
    assert image.data.startswith(b"RIFF")
    return image.drawn_as, image.context
