"""What other series say of a frame lies where it belongs, by pydicom's reading of their headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pydicom
import pytest
from data_folder import DATA, needs_data, read_catalog
from viewer_client import Client, run_viewer

pytestmark = needs_data


@pytest.fixture(scope="module")
def viewer() -> Iterator[tuple[Client, list[dict[str, Any]]]]:
    objects = [path for name in ("*seg*", "*rtstruct*", "*rtdose*", "ref-ct*") for path in DATA.glob(f"objects/{name}")]
    images = [DATA / "series" / row["series_uuid"] for row in read_catalog() if row["modality"] == "CT"]
    with run_viewer(*sorted({*objects, *images})) as client:
        yield client, client.wait_for_scan()


def find_pairs(client: Client, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Series of CT images, and a layer of this kind that may lie over each."""
    entries = client.get("series").json
    layers = [each for each in entries if each["layer_kind"] == kind]
    images = [each for each in entries if each["modality"] == "CT" and each["has_pixels"]]
    wanted = {uid for each in layers for uid in each["frames_of_reference"]}
    near = [each for each in images if wanted & set(each["frames_of_reference"])]
    pairs = [(each, layer) for each in near for layer in client.get(f"series/{each['id']}/layers").json]
    return [(entry, layer) for entry, layer in pairs if layer["kind"] == kind]


def draw_all(client: Client, entry: dict[str, Any], layer: dict[str, Any]) -> list[tuple[dict[str, Any], Any]]:
    """Some frames of a series that a layer covers, and the layer over each."""
    drawn = []
    frames = client.get(f"series/{entry['id']}").json["frames"]
    for frame in frames[:: max(len(frames) // 12, 1)]:
        got = client.get(f"file/{frame['file']}/frame/{frame['frame']}/layer/{layer['id']}")
        if got.status == 200:
            assert got.pixels.shape[2] == 4
            drawn.append((frame, got.pixels))
        else:
            assert (got.status, got.json["code"]) == (404, "layer_not_covering_frame")
    return drawn


def test_segments_cover_the_pixels_of_their_own_frames(viewer: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = viewer
    compared = 0
    for entry, layer in find_pairs(client, "segmentation"):
        over = next(each for each in files if each["series"] == layer["id"])
        planes = client.get(f"file/{over['index']}/info").json["frames"]
        for frame, pixels in draw_all(client, entry, layer):
            plane = client.get(f"file/{frame['file']}/info").json["frames"][frame["frame"]]
            position = plane["image_position"]
            same = [each["frame"] for each in planes if np.allclose(each["image_position"], position, atol=0.01)]
            raw = [client.get(f"file/{over['index']}/frame/{number}/raw").samples for number in same]
            if not raw or raw[0].shape != pixels.shape[:2]:
                continue
            assert np.array_equal(pixels[..., 3] > 0, np.any([each > 0 for each in raw], axis=0))
            compared += 1
    assert compared > 2


def test_contours_run_through_their_points(viewer: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = viewer
    compared = 0
    for entry, layer in find_pairs(client, "structures"):
        over = pydicom.dcmread(next(each["path"] for each in files if each["series"] == layer["id"]))
        assert len(layer["legend"]) == len(over.StructureSetROISequence)
        drawn = draw_all(client, entry, layer)
        for frame, pixels in drawn[:3]:
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
                near = [
                    pixels[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2, 3].any()
                    for r, c in zip(rows[inside], columns[inside], strict=True)
                ]
                assert all(near)
                compared += len(near)
    assert compared > 50


def test_a_dose_lies_over_its_image_where_it_is_a_tenth_of_the_largest(
    viewer: tuple[Client, list[dict[str, Any]]],
) -> None:
    client, _ = viewer
    covered = [
        (pixels[..., 3] > 0).mean()
        for entry, layer in find_pairs(client, "dose")
        for _, pixels in draw_all(client, entry, layer)
    ]
    assert covered
    assert 0 < max(covered) < 1


def test_what_is_no_layer_covers_nothing(viewer: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = viewer
    image = next(each for each in files if each["modality"] == "CT")
    for series, status in ((image["series"], 404), ("nothing", 404)):
        assert client.get(f"file/{image['index']}/frame/0/layer/{series}").status == status
    assert client.get("series/nothing/layers").status == 404
