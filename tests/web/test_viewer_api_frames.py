"""Frames, samples and tags of the viewer's API, against pydicom and DCMTK on real data."""

from __future__ import annotations

import csv
import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from data_folder import DATA, needs_data, select_series
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from servers import require_programs
from viewer_client import Client, run_viewer

pytestmark = needs_data

CODECS = DATA / "codecs"


@pytest.fixture(scope="module")
def series() -> Iterator[tuple[Client, list[dict[str, Any]]]]:
    with run_viewer(DATA / "series") as client:
        yield client, client.wait_for_scan()


@pytest.fixture(scope="module")
def codecs() -> Iterator[tuple[Client, list[dict[str, Any]]]]:
    with run_viewer(CODECS) as client:
        yield client, client.wait_for_scan()


def choose_files(files: list[dict[str, Any]], *, per_series: int = 1) -> list[dict[str, Any]]:
    """Some files of each series that have pixels."""
    chosen: dict[str, list[dict[str, Any]]] = {}
    for each in files:
        if each["has_pixels"] and len(chosen.setdefault(each["series"], [])) < per_series:
            chosen[each["series"]].append(each)
    return [each for group in chosen.values() for each in group]


def read_pixels(path: str) -> tuple[pydicom.Dataset, Any] | None:
    """The frames as pydicom has them; None where it cannot decode them, or where they are no plain frames."""
    dataset = pydicom.dcmread(path, force=True)
    try:
        return dataset, dataset.pixel_array
    except Exception:  # noqa: BLE001  # pydicom raises whatever its plugins raise
        return None


def test_samples_are_those_that_pydicom_reads(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    compared = 0
    for file in choose_files(files):
        read = read_pixels(file["path"])
        if read is None or file["photometric_interpretation"] not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"):
            continue
        dataset, pixels = read
        first = pixels[0] if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels
        if file["frame_count"] > int(dataset.get("NumberOfFrames") or 1):  # a mosaic, whose slices are frames
            continue
        got = client.get(f"file/{file['index']}/frame/0/raw")
        assert got.status == 200, file["path"]
        assert np.array_equal(got.samples, first), file["path"]
        assert int(got.headers["X-Frame-Bits-Allocated"]) == max(dataset.BitsAllocated, 8)
        compared += 1
    assert compared > 50


def test_pictures_are_within_a_gray_level_of_pydicom(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    compared = 0
    for file in choose_files(files):
        read = read_pixels(file["path"])
        window = file["default_window"]
        if read is None or window is None or window["function"] != "LINEAR" or file["frame_count"] != 1:
            continue
        dataset, pixels = read
        if "VOILUTSequence" in dataset or "PixelPaddingValue" in dataset:
            continue
        shown = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset, 0).astype(float)
        low, high = output_range(dataset, pixels)
        expected = (shown - low) / (high - low) * 255
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            expected = 255 - expected
        got = client.get(f"file/{file['index']}/frame/0")
        assert got.status == 200
        assert np.abs(got.pixels - expected).max() <= 1, file["path"]
        assert got.headers["X-Frame-Window-Applied"] == "embedded"
        assert float(got.headers["X-Frame-Window-Center"]) == window["center"]
        compared += 1
    assert compared > 20


def output_range(dataset: pydicom.Dataset, pixels: Any) -> tuple[float, float]:
    """The range that pydicom maps a window to: that of the stored values, after the modality transform."""
    signed = dataset.PixelRepresentation == 1
    low = -(2 ** (dataset.BitsStored - 1)) if signed else 0
    high = 2 ** (dataset.BitsStored - (1 if signed else 0)) - 1
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def test_an_explicit_window_is_that_of_dcmtk(series: tuple[Client, list[dict[str, Any]]], tmp_path: Path) -> None:
    require_programs("dcm2pnm")
    client, files = series
    compared = 0
    for file in choose_files(files):
        if file["modality"] not in ("CT", "MR") or file["frame_count"] != 1:
            continue
        target = tmp_path / f"{file['index']}.pgm"
        words = ["dcm2pnm", "--no-overlays", "--set-window", "100", "401", "+opb", file["path"], str(target)]
        if subprocess.run(words, capture_output=True, check=False, timeout=30).returncode or not target.exists():
            continue
        dataset = pydicom.dcmread(file["path"], stop_before_pixels=True)
        if "PixelPaddingValue" in dataset or dataset.get("SamplesPerPixel") != 1 or dataset.get("RescaleSlope", 1) != 1:
            continue  # padding is black here, and DCMTK rounds the values that a slope makes
        # DCMTK's window is LINEAR: its middle is half a unit lower, and it is a unit narrower (PS3.3 C.11.2.1.2.1).
        got = client.get(f"file/{file['index']}/frame/0?wc=99.5&ww=400")
        difference = np.abs(got.pixels.astype(int) - np.asarray(Image.open(target)).astype(int))
        assert difference.max() <= 1, file["path"]
        compared += 1
    assert compared > 8


def test_every_codec_file_is_displayed(codecs: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = codecs
    numbers = {file["path"].removeprefix(f"{CODECS}/"): file["index"] for file in files}
    with (CODECS / "index.csv").open(encoding="utf-8", newline="") as rows:
        listed = list(csv.DictReader(rows))
    assert len(listed) > 40
    for row in listed:
        number = numbers[row["file"]]
        for frame in {0, int(row["n_frames"]) - 1}:
            got = client.get(f"file/{number}/frame/{frame}")
            assert got.status == 200, row["file"]
            assert got.pixels.shape[:2] == (int(row["rows"]), int(row["cols"]))
            assert got.pixels.max() > got.pixels.min()
        if row["reference"] in numbers and row["photometric"].startswith("MONO"):
            samples = client.get(f"file/{number}/frame/0/raw").samples.astype(int)
            reference = client.get(f"file/{numbers[row['reference']]}/frame/0/raw").samples.astype(int)
            assert np.abs(samples - reference).max() <= float(row["max_abs_diff_first_frame"]), row["file"]


def test_samples_are_packed_for_clients_that_take_it(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    file = next(each for each in files if each["rows"] == each["columns"] == 512 and each["modality"] == "CT")
    plain = client.get(f"file/{file['index']}/frame/0/raw")
    packed = client.get(f"file/{file['index']}/frame/0/raw", Accept_Encoding="br, gzip")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < 0.7 * len(plain.body)
    assert gzip.decompress(packed.body) == plain.body


def test_what_varies_across_a_series_is_marked(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    file = next(each for each in files if each["series"] == select_series("CT axial volume")[0])
    nodes = {node["keyword"]: node for node in client.get(f"file/{file['index']}/tags").json["nodes"]}
    assert nodes["ImagePositionPatient"]["varies"] is True
    assert nodes["Modality"]["varies"] is False


def test_tags_are_those_that_pydicom_reads(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    compared = 0
    for file in files[::19]:
        dataset = pydicom.dcmread(file["path"], stop_before_pixels=True, force=True)
        compared += compare_nodes(client, file["index"], dataset, "")
    assert compared > 2000


def compare_nodes(client: Client, number: int, dataset: pydicom.Dataset, path: str) -> int:
    """Compare one dataset, and the first item of each of its sequences, with what the API tells."""
    page = client.get(f"file/{number}/tags?path={path}").json
    nodes = {node["tag"]: node for node in page["nodes"]}
    elements = {f"{element.tag:08X}": element for element in dataset if element.tag.element != 0}
    assert page["total"] == len(nodes)
    assert set(elements) == {tag for tag in nodes if not tag.startswith("0002")}
    for tag, element in elements.items():
        node = nodes[tag]
        if element.VR == "SQ":
            assert node["items"] == len(element.value)
            if len(element.value):
                compare_nodes(client, number, element.value[0], f"{node['path']}.0")
        elif "length" in node and "value" not in node:
            assert node["length"] - len(element.value or b"") in (0, 1)
        else:
            assert are_equal(node["value"], element), (path, tag, node, element)
    return len(elements)


def are_equal(value: Any, element: Any) -> bool:
    """Tell whether a value of the API is that of an element of pydicom."""
    if element.value is None or element.value == "" or element.VM == 0:
        return value in (None, "", [])
    expected = list(element.value) if element.VM > 1 else [element.value]
    given = value if isinstance(value, list) else [value]
    if element.VR in ("IS", "DS", "FD", "FL", "US", "SS", "UL", "SL"):
        return np.allclose([float(each) for each in given], [float(each) for each in expected])
    if element.VR == "AT":
        return given == [f"{int(each):08X}" for each in expected]
    return [str(each).strip() for each in given] == [str(each).strip(" \0") for each in expected]


def test_frames_of_a_series_are_in_display_order(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, _ = series
    (uuid,) = select_series("CT axial volume")
    told = client.get(f"series/{uuid}").json
    positions = [frame["position"] for frame in told["frames"]]
    assert told["axis"] == "Z"
    assert positions == sorted(positions, reverse=True)
    assert len({(frame["file"], frame["frame"]) for frame in told["frames"]}) == told["frame_count"] == len(positions)
    assert told["stacks"] == [{"stack": 0, "start": 0, "count": len(positions), "axis": "Z"}]
    assert told["unit"] == "HU"
    assert told["default_window"]["width"] > 0


def test_a_picture_may_be_smaller_and_of_another_format(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    file = next(each for each in files if each["rows"] == each["columns"] == 512 and each["modality"] == "CT")
    first = client.get(f"file/{file['index']}/frame/0?format=webp&width=128")
    again = client.get(f"file/{file['index']}/frame/0?format=webp&width=128")
    assert (first.headers["X-Cache"], again.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.body == again.body
    assert first.pixels.shape[:2] == (128, 128)
    for name in ("webp", "jpeg"):
        got = client.get(f"file/{file['index']}/frame/0?format={name}")
        assert got.headers["Content-Type"] == f"image/{name}"
        assert len(got.body) <= 40_000
    full = client.get(f"file/{file['index']}/frame/0?mode=full_dynamic")
    assert (full.pixels.min(), full.pixels.max()) == (0, 255)
    assert full.headers["X-Frame-Window-Applied"] == "full_dynamic"


def test_a_frame_without_a_window_shows_the_2nd_to_the_98th_percentile(
    series: tuple[Client, list[dict[str, Any]]],
) -> None:
    client, files = series
    file = next(
        each
        for each in files
        if each["has_pixels"]
        and each["default_window"] is None
        and each["photometric_interpretation"] == "MONOCHROME2"
        and each["modality"] in ("MR", "CT", "PT")
    )
    got = client.get(f"file/{file['index']}/frame/0")
    raw = client.get(f"file/{file['index']}/frame/0/raw")
    values = raw.samples * float(raw.headers["X-Frame-Rescale-Slope"]) + float(raw.headers["X-Frame-Rescale-Intercept"])
    low, high = np.percentile(values, [2, 98])
    assert got.headers["X-Frame-Window-Applied"] == "percentile"
    assert float(got.headers["X-Frame-Window-Width"]) == pytest.approx(high - low)
    assert float(raw.headers["X-Frame-Default-Wc"]) == pytest.approx((low + high) / 2)


def test_objects_without_pixels_show_their_preview_and_tags() -> None:
    with run_viewer(DATA / "objects") as client:
        files = client.wait_for_scan()
        file = next(each for each in files if each["modality"] == "RTSTRUCT")
        assert file["has_pixels"] is False
        assert file["support_state"] == "no_pixels"
        missing = client.get(f"file/{file['index']}/frame/0")
        assert (missing.status, missing.json["code"]) == (404, "no_pixel_data")
        preview = client.get(f"series/{file['series']}/preview")
        assert preview.headers["Content-Type"] == "image/webp"
        assert preview.pixels.std() > 5
        assert client.get(f"file/{file['index']}/tags").json["total"] > 20


def test_overlay_planes_are_told_apart_from_the_pixels(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    found = []
    for file in choose_files(files, per_series=2):
        got = client.get(f"file/{file['index']}/frame/0/overlay")
        if got.status == 200:
            found.append((file, got.pixels))
        else:
            assert got.json["code"] == "no_overlay"
    assert found
    file, mask = found[0]
    plain = client.get(f"file/{file['index']}/frame/0").pixels
    burnt = client.get(f"file/{file['index']}/frame/0?overlays=1").pixels
    assert set(np.unique(mask)) <= {0, 255}
    assert np.array_equal(burnt, np.where(mask == 255, 255, plain))


def test_slides_are_read_tile_by_tile(series: tuple[Client, list[dict[str, Any]]]) -> None:
    client, files = series
    compared = 0
    for uuid in {file["series"] for file in files if file["modality"] == "SM"}:
        told = client.get(f"series/{uuid}").json
        for level in told["levels"]:
            got = client.get(f"file/{level['file']}/tile/0/0")
            if got.status != 200:
                continue
            assert got.pixels.shape[:2] == (level["tile_rows"], level["tile_columns"])
            beyond = client.get(f"file/{level['file']}/tile/{level['grid_columns']}/0")
            assert (beyond.status, beyond.json["code"]) == (404, "frame_out_of_range")
            compared += 1
    assert compared > 2


def test_a_script_like_those_for_other_viewers_works() -> None:
    """What scripts do: find files in pieces, read the window and the samples of the first, and a page of its tags."""
    with run_viewer(DATA / "series" / select_series("CT axial volume")[0]) as client:
        client.wait_for_scan()
        health = client.get("health").json
        assert health["status"] == "ok"
        assert health["server_start_ms"] > 0
        seen: list[dict[str, Any]] = []
        while True:
            page = client.get(f"files?since={len(seen)}&limit=7").json
            seen += page["files"]
            if page["scan_complete"] and not page["files"]:
                break
        assert [each["index"] for each in seen] == list(range(health["file_count"]))
        first = seen[0]
        assert first["transfer_syntax_uid"].startswith("1.2.840.10008.1.2")
        info = client.get(f"file/{first['index']}/info").json
        assert info["frame_count"] == 1
        raw = client.get(f"file/{first['index']}/frame/0/raw")
        assert float(raw.headers["X-Frame-Default-Ww"]) == first["default_window"]["width"]
        tags = client.get(f"file/{first['index']}/tags?offset=3&limit=5").json
        assert len(tags["nodes"]) == 5
        assert client.get(f"file/{first['index']}/annotations").json == {
            "num_roi": 0,
            "roi_coords": [],
            "roi_frames": [],
        }
