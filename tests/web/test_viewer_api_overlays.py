"""What other series say of a frame lies where it belongs, by pydicom's reading of their headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from data_folder import DATA, needs_data, read_catalog
from viewer_client import Client, run_viewer, write_series
from written_objects import make_dataset, write_dataset

pytestmark = needs_data


@pytest.fixture(scope="module")
def viewer() -> Iterator[tuple[Client, list[dict[str, Any]]]]:
    objects = [path for name in ("*seg*", "*rtstruct*", "*rtdose*", "ref-ct*") for path in DATA.glob(f"objects/{name}")]
    images = [DATA / "series" / row["series_uuid"] for row in read_catalog() if row["modality"] in ("CT", "CR")]
    with run_viewer(*sorted({*objects, *images})) as client:
        yield client, client.wait_for_scan()


def find_pairs(client: Client, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Series of images, and an overlay of this kind that may lie over each."""
    images = [each for each in client.get("series").json if each["has_pixels"] and each["overlay_kind"] is None]
    pairs = [(each, over) for each in images for over in client.get(f"series/{each['id']}/overlays").json]
    return [(entry, over) for entry, over in pairs if over["kind"] == kind]


def draw_all(
    client: Client, entry: dict[str, Any], layer: dict[str, Any], most: int = 12
) -> list[tuple[dict[str, Any], Any]]:
    """Some frames of a series that an overlay covers, and its picture over each."""
    drawn = []
    frames = client.get(f"series/{entry['id']}").json["frames"]
    for frame in frames[:: max(len(frames) // most, 1)]:
        got = client.get(f"file/{frame['file']}/frame/{frame['frame']}/overlay?series={layer['series']}")
        if got.status == 200:
            assert got.pixels.shape[2] == 4
            drawn.append((frame, got.pixels))
        else:
            assert (got.status, got.json["code"]) == (404, "no_overlay")
    return drawn


def test_segments_cover_the_pixels_that_highdicom_finds(viewer: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = viewer
    compared: dict[str, int] = {}
    for entry, layer in find_pairs(client, "SEG"):
        path = next(each["path"] for each in files if each["series"] == layer["series"])
        segmentation = highdicom.seg.segread(path)
        for frame, pixels in draw_all(client, entry, layer):
            instance = files[frame["file"]]["sop_instance_uid"]
            try:
                masks = segmentation.get_pixels_by_source_instance([instance])[0] > 0
            except (KeyError, ValueError):
                continue  # it refers to its image by the plane alone
            assert np.array_equal(pixels[..., 3] > 0, masks.any(axis=2))
            compared[Path(path).parent.name] = compared.get(Path(path).parent.name, 0) + 1
    assert compared["seg-ct-overlap-with-source"] == 4
    assert compared["seg-cr-with-source"] == 1


def test_a_segment_has_its_color_a_quarter_within_and_whole_at_its_edge(
    viewer: tuple[Client, list[dict[str, Any]]],
) -> None:
    client, _ = viewer
    entry, layer = next(each for each in find_pairs(client, "SEG") if len(each[1]["legend"]) == 2)
    colors = {tuple(key["color"]) for key in layer["legend"]}
    for _, pixels in draw_all(client, entry, layer):
        edges = pixels[pixels[..., 3] == 255][:, :3]
        assert {tuple(each) for each in edges.tolist()} <= colors
        assert set(np.unique(pixels[..., 3]).tolist()) - {0, 255} <= {64, 112}  # one segment, and two


def test_contours_run_through_their_points(viewer: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = viewer
    compared = 0
    for entry, layer in find_pairs(client, "RTSTRUCT"):
        over = pydicom.dcmread(next(each["path"] for each in files if each["series"] == layer["series"]))
        assert len(layer["legend"]) == len(over.StructureSetROISequence)
        for frame, pixels in draw_all(client, entry, layer, most=4):
            image = pydicom.dcmread(files[frame["file"]]["path"], stop_before_pixels=True)
            origin = np.array(image.ImagePositionPatient, float)
            across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
            for contour in (each for item in over.ROIContourSequence for each in item.get("ContourSequence", [])):
                points = np.array(contour.ContourData, float).reshape(-1, 3) - origin
                if np.abs(points @ np.cross(across, down)).max() > 0.1:
                    continue
                rows = np.rint(points @ down / float(image.PixelSpacing[0])).astype(int)
                columns = np.rint(points @ across / float(image.PixelSpacing[1])).astype(int)
                inside = (rows >= 0) & (rows < image.Rows) & (columns >= 0) & (columns < image.Columns)
                reach = 9 if contour.ContourGeometricType == "POINT" else 1  # a ring around it
                near = [
                    pixels[max(r - reach, 0) : r + reach + 1, max(c - reach, 0) : c + reach + 1, 3].any()
                    for r, c in zip(rows[inside], columns[inside], strict=True)
                ]
                assert all(near)
                compared += len(near)
    assert compared > 50


def test_a_dose_lies_where_it_is_a_tenth_of_the_largest(viewer: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = viewer
    compared = 0
    for entry, layer in find_pairs(client, "RTDOSE"):
        over = pydicom.dcmread(next(each["path"] for each in files if each["series"] == layer["series"]))
        share = over.pixel_array / over.pixel_array.max()
        corner, offsets = np.array(over.ImagePositionPatient, float), np.array(over.GridFrameOffsetVector, float)
        for frame, pixels in draw_all(client, entry, layer):
            image = pydicom.dcmread(files[frame["file"]]["path"], stop_before_pixels=True)
            place = (np.array(image.ImagePositionPatient, float) - corner) / [*over.PixelSpacing[::-1], 1]
            plane = share[np.abs(offsets - place[2]).argmin()]
            step = np.array(image.PixelSpacing, float) / np.array(over.PixelSpacing, float)
            rows = np.rint(place[1] + np.arange(image.Rows) * step[0]).astype(int)
            columns = np.rint(place[0] + np.arange(image.Columns) * step[1]).astype(int)
            inside = np.ix_((rows >= 0) & (rows < plane.shape[0]), (columns >= 0) & (columns < plane.shape[1]))
            near = np.zeros((image.Rows, image.Columns))
            near[inside] = plane[np.ix_(rows[inside[0][:, 0]], columns[inside[1][0]])]
            shown = pixels[..., 3] > 0
            assert shown[near > 0.13].all()
            assert not shown[near < 0.07].any()
            compared += 1
    assert compared == 6


def test_a_map_is_colored_from_the_least_to_the_largest_value_of_its_window(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", 2, FrameOfReferenceUID="1.2.9", PixelSpacing=[1, 1])
    about = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.30", "FrameOfReferenceUID": "1.2.9", "PixelSpacing": [1, 1]}
    write_series(tmp_path / "map", 1, number=2, WindowCenter=128, WindowWidth=256, **about)
    write_series(tmp_path / "far", 1, number=3, **{**about, "FrameOfReferenceUID": "1.2.10"})
    with run_viewer(tmp_path) as client:
        client.wait_for_scan()
        (pair,) = find_pairs(client, "PM")
        ((frame, pixels),) = draw_all(client, *pair)
        far = next(each["id"] for each in client.get("series").json if each["series_instance_uid"] == "1.2.3.3")
        refused = client.get(f"file/{frame['file']}/frame/{frame['frame']}/overlay?series={far}")
        blank = client.get(f"file/{frame['file']}/frame/{frame['frame']}/overlay?series={far}&blank=1")
    assert frame["position"] == 0
    brightness = pixels[..., :3].astype(int).sum(axis=2).ravel()
    assert (np.diff(brightness[1:]) >= -1).all()  # sums of rounded colors
    assert pixels[0, 0].tolist() == [0, 0, 0, 0]
    assert pixels[-1, -1, :3].tolist() == pytest.approx(pair[1]["legend"][0]["color"], abs=3)
    assert (refused.status, refused.json["code"]) == (404, "no_overlay")
    assert blank.status == 200
    assert not blank.pixels[..., 3].any()


def test_what_is_no_overlay_covers_nothing(viewer: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = viewer
    image = next(each for each in files if each["modality"] == "CT")
    for series, code in ((image["series"], "no_overlay"), ("nothing", "not_found")):
        got = client.get(f"file/{image['index']}/frame/0/overlay?series={series}")
        assert (got.status, got.json["code"]) == (404, code)
    assert client.get("series/nothing/overlays").status == 404


def test_names_of_patients_are_masked_in_legends(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", 1, FrameOfReferenceUID="1.2.9", PatientName="Meier^Anna", PatientID="77-AB-12")
    regions = [
        make_dataset(ROINumber=number, ROIName=f"Tumor of {name}", ReferencedFrameOfReferenceUID="1.2.9")
        for number, name in enumerate(("Meier", "Geborene"), 1)
    ]
    structures = make_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3",
        SOPInstanceUID="1.2.4.1",
        SeriesInstanceUID="1.2.4",
        StudyInstanceUID="1.2.3",
        Modality="RTSTRUCT",
        PatientName="Meier^Anna",
        PatientID="77-AB-12",
        PatientBirthName="Geborene",
        FrameOfReferenceUID="1.2.9",
        StructureSetROISequence=regions,
    )
    (tmp_path / "structures.dcm").write_bytes(write_dataset(structures))
    with run_viewer(tmp_path, mask=True) as client:
        client.wait_for_scan()
        ((_, over),) = find_pairs(client, "RTSTRUCT")
    assert [key["label"] for key in over["legend"]] == ["Tumor of patient-1"] * 2


@pytest.fixture(scope="module")
def states() -> Iterator[tuple[Client, dict[str, Any], dict[str, dict[str, Any]]]]:
    """A viewer over a CT and three states of its middle slice, its entry, and its overlays by their first key."""
    folders = [DATA / "objects" / f"made-pr-{name}" for name in STATES]
    with run_viewer(*folders, DATA / "series" / "ed96988a-3a9a-566c-9a25-227a18d9c04c") as client:
        client.wait_for_scan()
        pairs = find_pairs(client, "PR")
        yield client, pairs[0][0], {over["legend"][0]["label"]: over for _, over in pairs}


STATES = ("gsps-lung-circle-text", "gsps-rotate-flip-inverse-zoom", "pseudocolor-hot")


def test_a_state_covers_the_frame_that_it_names_and_no_other(
    states: tuple[Client, dict[str, Any], dict[str, dict[str, Any]]],
) -> None:
    client, entry, layers = states
    assert {*layers} == {"lung window with a measured lesion", "ROT", "HOT"}
    frames = client.get(f"series/{entry['id']}").json["frames"]
    for name, layer in layers.items():
        path = "file/{file}/frame/{frame}/overlay?series=" + layer["series"]
        found = [client.get(path.format(**frame)) for frame in frames]
        assert sorted(each.status for each in found) == [200] + [404] * (len(frames) - 1)
        headers = next(each.headers for each in found if each.status == 200)
        turn = headers["X-Overlay-Rotation"], headers["X-Overlay-Flip"]
        assert turn == (("1", "true") if name == "ROT" else ("0", "false"))


def test_a_state_that_inverts_shows_each_pixel_as_its_window_says(
    states: tuple[Client, dict[str, Any], dict[str, dict[str, Any]]],
) -> None:
    client, entry, layers = states
    ((_, drawn),) = draw_all(client, entry, layers["ROT"], 1_000)
    state = pydicom.dcmread(next((DATA / "objects" / "made-pr-gsps-rotate-flip-inverse-zoom").glob("*.dcm")))
    uid = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
    folder = DATA / "series" / "ed96988a-3a9a-566c-9a25-227a18d9c04c"
    image = next(each for path in folder.glob("*.dcm") if (each := pydicom.dcmread(path)).SOPInstanceUID == uid)
    voi = state.SoftcopyVOILUTSequence[0]
    values = image.pixel_array * float(state.RescaleSlope) + float(state.RescaleIntercept)
    share = (values - (float(voi.WindowCenter) - 0.5)) / (float(voi.WindowWidth) - 1) + 0.5

    assert drawn.shape == (*image.pixel_array.shape, 4)
    assert (drawn[..., 3] == 255).all()
    assert np.abs(drawn[..., :3] - (255 - share.clip(0, 1) * 255)[..., np.newaxis]).max() <= 1


def test_what_is_written_into_a_state_is_not_shown_while_patients_are_masked(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", 1, size=128, PatientName="Meier^Anna", PatientID="77-AB-12")
    series = pydicom.dcmread(next((tmp_path / "ct").glob("*")))
    named = make_dataset(ReferencedSOPClassUID=series.SOPClassUID, ReferencedSOPInstanceUID=series.SOPInstanceUID)
    text = make_dataset(
        AnchorPointAnnotationUnits="PIXEL", AnchorPoint=[20.0, 60.0], UnformattedTextValue="MEIER MEIER MEIER"
    )
    state = make_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1",
        SOPInstanceUID="1.2.77.1",
        SeriesInstanceUID="1.2.77",
        StudyInstanceUID=series.StudyInstanceUID,
        Modality="PR",
        PatientName="Meier^Anna",
        PatientID="77-AB-12",
        ReferencedSeriesSequence=[
            make_dataset(SeriesInstanceUID=series.SeriesInstanceUID, ReferencedImageSequence=[named])
        ],
        GraphicAnnotationSequence=[make_dataset(TextObjectSequence=[text])],
    )
    (tmp_path / "state.dcm").write_bytes(write_dataset(state))
    drawn = []
    for masks in (False, True):
        with run_viewer(tmp_path, mask=masks) as client:
            client.wait_for_scan()
            ((entry, over),) = find_pairs(client, "PR")
            drawn.append(draw_all(client, entry, over)[0][1])

    assert not np.array_equal(*drawn)
    assert np.unique(drawn[1][..., 0]).size < np.unique(drawn[0][..., 0]).size


def test_the_picture_of_a_structure_set_has_the_image_that_is_open_beside_it(tmp_path: Path) -> None:
    structures, images = (DATA / "objects" / f"{name}-lung-phantom-pat3" for name in ("rtstruct", "ref-ct"))
    drawn = []
    for sources in ((structures,), (structures, images)):
        with run_viewer(*sources) as client:
            files = client.wait_for_scan()
            series = next(each["series"] for each in files if str(structures) in each["path"])
            drawn.append(client.get(f"series/{series}/preview").pixels)

    alone, over_images = ((np.asarray(each) > 40).mean() for each in drawn)

    assert over_images > 2 * alone
