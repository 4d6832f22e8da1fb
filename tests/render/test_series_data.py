"""Every real series becomes an index and, where it has pixels, a mosaic; in the order of its own geometry."""

from __future__ import annotations

import io
import random
import shutil
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from data_folder import (
    DATA,
    list_objects,
    load_headers,
    load_real_index,
    make_ref,
    needs_data,
    open_store,
    read_catalog,
    select_series,
)
from PIL import Image

from dsp_batch.core.selection import select_position, select_range
from dsp_batch.errors import DspBatchError, SeriesError
from dsp_batch.fetch import fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ImageOptions, IndexOptions, MosaicOptions
from dsp_batch.pipeline import draw_series, render_preview
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store

pytestmark = needs_data

CATALOG = {row["series_uuid"]: row for row in read_catalog()}
NO_INSTANCE = "cb72d2cc-5693-5a4d-905f-e7b63e2a0507"
WITHOUT_PIXELS = [
    uuid for uuid, row in CATALOG.items() if row["decodes_with"] == "no pixel data" and uuid != NO_INSTANCE
]
WITH_PIXELS = [uuid for uuid, row in CATALOG.items() if row["decodes_with"] != "no pixel data"]
PLAIN = ("CT", "MR", "PT", "US", "XA", "NM", "CR", "DX", "MG")
GRIDS = ("MR Siemens mosaic", "MR Siemens mosaic JPEG lossless", "MR UIH grid no IPP")
AXES = "XYZ"
FALLS = {"X": -1.0, "Y": 1.0, "Z": 1.0}
"""Signs that make coordinates fall along the display order: x rises, y and z fall (patient coordinates, LPS)."""


@cache
def read_geometry(series_uuid: str) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Object name → position, orientation and InstanceNumber, read with pydicom; single-frame objects."""
    found = {}
    for path in list_objects(DATA / "series" / series_uuid):
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        found[path.name] = (
            np.array(dataset.ImagePositionPatient, float),
            np.array(dataset.ImageOrientationPatient, float),
            int(dataset.InstanceNumber),
        )
    return found


def main_normal(orientation: np.ndarray) -> tuple[str, np.ndarray]:
    """Dominant axis of the slice normal, and the normal turned so that projections fall along the display order."""
    normal = np.cross(orientation[:3], orientation[3:])
    axis = int(np.argmax(np.abs(normal)))
    return AXES[axis], normal * np.sign(normal[axis]) * FALLS[AXES[axis]]


def single_frame_series(*axes: str) -> list[str]:
    """Series of several single-frame objects with positions and of one orientation."""
    return [
        uuid
        for uuid, row in CATALOG.items()
        if row["axis"] in axes
        and int(row["n_instances"]) == int(row["n_frames"]) > 1
        and "ImagePositionPatient" not in row["notes"]
        and "functional groups" not in row["notes"]
        and row["kind"] not in (*GRIDS, "MR small many syntaxes duplicate UIDs")
    ]


@pytest.mark.parametrize("series_uuid", WITH_PIXELS)
def test_every_series_with_pixels_becomes_a_mosaic(series_uuid: str) -> None:
    row, index = CATALOG[series_uuid], load_real_index(series_uuid)

    image = render_preview(index, FrameSource(store=open_store()), MosaicOptions(image_width=32, tile_width=3), ".webp")

    assert image.failures == ()
    assert len(index) == int(row["n_instances"])
    assert index.objects["rejected"] == {}
    assert sum(index.values("NumberOfFrames")) == int(row["n_frames"])
    if row["modality"] in PLAIN and row["axis"] != "mixed" and row["kind"] not in GRIDS:
        assert image.n_tiles == min(int(row["n_frames"]), 9)
    with Image.open(io.BytesIO(image.data)) as opened:
        opened.load()
        assert opened.size == (image.width, image.height)
        assert opened.width == 3 * 32
        assert len(opened.convert("RGB").getcolors(1 << 24)) > 1, "one color only"


@pytest.mark.parametrize("series_uuid", WITHOUT_PIXELS)
def test_every_series_without_pixels_has_an_index_and_says_what_it_is(series_uuid: str) -> None:
    row, index = CATALOG[series_uuid], load_real_index(series_uuid)
    assert len(index) == int(row["n_instances"])

    for attempt in (
        lambda: render_preview(index, FrameSource(store=open_store()), MosaicOptions(), ".webp"),
        lambda: draw_series(make_ref(series_uuid), open_store(), None, ImageOptions(position=0.5), ".webp"),
    ):
        with pytest.raises(SeriesError, match="no object with pixels") as caught:
            attempt()
        assert caught.value.reason == "no-pixels"
        assert row["sop_class"] in caught.value.message
        assert series_uuid in caught.value.message


def test_an_object_that_is_no_instance_makes_no_series() -> None:
    with pytest.raises(SeriesError, match="no DICOM instance; its only object, ") as caught:
        load_real_index(NO_INSTANCE)
    assert caught.value.reason == "not-dicom"


@pytest.mark.parametrize("series_uuid", single_frame_series("X", "Y", "Z"))
def test_axial_goes_from_the_head_coronal_from_behind_and_sagittal_from_the_right(series_uuid: str) -> None:
    axis = CATALOG[series_uuid]["axis"]
    geometry, table = read_geometry(series_uuid), load_real_index(series_uuid).table

    coordinates = [geometry[name][0][AXES.index(axis)] for name in table.column("FileName").to_pylist()]

    assert len(coordinates) == len(geometry)
    assert (np.diff(coordinates) * FALLS[axis] < 0.01).all()
    assert np.ptp(coordinates) > 1
    assert set(table.column("PrimaryAxis").to_pylist()) == {axis}
    np.testing.assert_allclose(table.column("PrimaryPosition").to_numpy(), coordinates, atol=1e-3)


@pytest.mark.parametrize("series_uuid", single_frame_series("oblique"))
def test_oblique_stacks_go_by_the_dominant_axis_of_their_normal(series_uuid: str) -> None:
    geometry, table = read_geometry(series_uuid), load_real_index(series_uuid).table
    names = table.column("FileName").to_pylist()
    axis, normal = main_normal(geometry[names[0]][1])

    projections = [float(geometry[name][0] @ normal) for name in names]

    assert (np.diff(projections) < 0.01).all()
    assert np.ptp(projections) > 1
    assert set(table.column("PrimaryAxis").to_pylist()) == {axis}
    coordinates = [geometry[name][0][AXES.index(axis)] for name in names]
    np.testing.assert_allclose(table.column("PrimaryPosition").to_numpy(), coordinates, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "positions", "times"),
    [
        ("MR DWI 4D oblique 520 instances", 40, 13),
        ("MR fMRI 4D GE", 15, 3),
        ("MR oblique fMRI 4D", 9, 3),
        ("MR ASL varying RescaleSlope", 6, 8),
    ],
)
def test_volumes_in_time_go_position_by_position_and_there_by_number(kind: str, positions: int, times: int) -> None:
    (series_uuid,) = select_series(kind)
    geometry, index = read_geometry(series_uuid), load_real_index(series_uuid)
    names = index.table.column("FileName").to_pylist()
    _, normal = main_normal(geometry[names[0]][1])

    places = [round(float(geometry[name][0] @ normal), 2) for name in names]
    numbers = [geometry[name][2] for name in names]

    assert len(names) == positions * times
    runs = [places[start : start + times] for start in range(0, len(places), times)]
    assert all(max(run) - min(run) < 0.02 for run in runs)
    assert [np.mean(run) for run in runs] == sorted((np.mean(run) for run in runs), reverse=True)
    assert len({round(run[0], 1) for run in runs}) == positions
    for start in range(0, len(numbers), times):
        assert numbers[start : start + times] == sorted(numbers[start : start + times])


@pytest.mark.parametrize("series_uuid", [uuid for uuid, row in CATALOG.items() if row["axis"] == "mixed"])
def test_the_planes_of_a_localizer_are_stacks_that_follow_one_another_by_number(series_uuid: str) -> None:
    geometry, index = read_geometry(series_uuid), load_real_index(series_uuid)
    names = index.table.column("FileName").to_pylist()
    planes = [tuple(np.round(geometry[name][1], 2)) for name in names]

    sizes = Counter(planes)
    assert len(set(sizes.values())) == 1, "stacks of one size: none is the main one"
    assert planes == [plane for plane in dict.fromkeys(planes) for _ in range(sizes[plane])]
    assert select_range(index.order, 0.0, 1.0).tolist() == list(range(len(names)))
    assert select_position(index.order, 1.0) == len(names) - 1
    lowest = [min(geometry[name][2] for name, p in zip(names, planes, strict=True) if p == q) for q in sizes]
    assert lowest == sorted(lowest)


@pytest.mark.parametrize(
    "kind",
    ["Enhanced MR Philips", "Enhanced MR Siemens 4D", "Enhanced MR ASL Siemens XA30", "Enhanced CT multi-frame*"],
)
def test_frames_of_enhanced_objects_go_by_their_functional_groups(kind: str) -> None:
    series_uuid = next(uuid for uuid, row in CATALOG.items() if row["kind"].startswith(kind.rstrip("*")))
    index = load_real_index(series_uuid)
    heights: dict[tuple[str, int], float] = {}
    for path in list_objects(DATA / "series" / series_uuid):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for frame, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            source = groups if "PlanePositionSequence" in groups else shared
            heights[path.name, frame] = float(source.PlanePositionSequence[0].ImagePositionPatient[2])

    order, frames = index.order, index.frames
    shown = [(frames.name[entry], int(frames.frame[entry])) for entry in order.permutation]

    assert sorted(shown) == sorted(heights)
    along = [heights[each] for each in shown]
    assert (np.diff(along) < 0.01).all()
    assert set(order.axis) == {"Z"}
    for row in index.table.to_pylist():
        expected = [heights[row["FileName"], frame] for frame in range(row["NumberOfFrames"])]
        np.testing.assert_allclose(row["FramePosition"], expected, atol=1e-3)


def has_unique_instances(series_uuid: str) -> bool:
    row = CATALOG[series_uuid]
    return int(row["n_instances"]) > 1 and "repeated SOPInstanceUID" not in row["notes"]


@pytest.mark.parametrize("series_uuid", [uuid for uuid in CATALOG if has_unique_instances(uuid)])
def test_the_names_of_objects_never_change_the_order(series_uuid: str) -> None:
    series, index = load_headers(series_uuid), load_real_index(series_uuid)
    chance = random.Random(len(series.headers))
    numbers = chance.sample(range(len(series.headers)), len(series.headers))
    shuffled = [replace(header, name=f"{n:05}") for n, header in zip(numbers, series.headers, strict=True)]
    chance.shuffle(shuffled)

    renamed = build_index(replace(series, headers=tuple(shuffled)))

    columns = [name for name in index.table.column_names if name != "FileName"]
    assert renamed.table.select(columns).equals(index.table.select(columns))
    assert renamed.constants == index.constants
    assert (renamed.order.sort_key == index.order.sort_key).all()


def copy_series(root: Path, name: str, *paths: Path) -> SeriesRef:
    folder = root / name
    folder.mkdir(parents=True)
    for path in paths:
        shutil.copy(path, folder / path.name)
    return SeriesRef(root=str(root), series_uuid=name)


def try_everything(ref: SeriesRef) -> tuple[SeriesIndex | DspBatchError, Any]:
    """Index and mosaic of a series, each or its error; any other exception goes through."""
    store = Store(ref.root)
    try:
        index = build_index(fetch_headers(ref, store, IndexOptions()))
    except DspBatchError as error:
        return error, None
    try:
        return index, render_preview(index, FrameSource(store=store), MosaicOptions(image_width=32), ".webp")
    except DspBatchError as error:
        return index, error


BROKEN = [path.name for path in list_objects(DATA / "broken")] if DATA.is_dir() else []
INSTANCES = {
    "3gb-bulk-data-truncated": "cut",
    "ExplVR_BigEndNoMeta.dcm": "no-pixels",
    "ExplVR_LitEndNoMeta.dcm": "no-pixels",
    "GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm": "drawn",
    "GH223.dcm": "no-pixels",
    "GH340.dcm": "drawn",
    "MR_small_padded.dcm": "drawn",
    "MR_truncated.dcm": "drawn",
    "badVR.dcm": "drawn",
    "genFile.dcm": "drawn",
    "mr_1.0.0.0.dcm": "no-pixels",
}
"""Broken files that are instances all the same, and what becomes of their pixels; the others are rejected."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_clear_error_or_an_instance(name: str, tmp_path: Path) -> None:
    begin = time.process_time()
    index, image = try_everything(copy_series(tmp_path, "broken", DATA / "broken" / name))

    if name in INSTANCES:
        assert isinstance(index, SeriesIndex)
        assert index.table.column("FileName").to_pylist() == [name]
        found = image.reason if isinstance(image, DspBatchError) else "drawn"
        assert found == INSTANCES[name].replace("cut", "bad-pixels")
    else:
        assert isinstance(index, DspBatchError)
        assert index.reason in ("not-dicom", "bad-header", "not-found")
        assert "\n" not in index.message
    assert time.process_time() - begin < 5


def test_broken_files_beside_good_ones_are_counted_and_never_rows(tmp_path: Path) -> None:
    (good,) = select_series("CT small signed")
    (whole,) = list_objects(DATA / "series" / good)
    others = [DATA / "broken" / name for name in BROKEN if name not in INSTANCES]

    index, image = try_everything(copy_series(tmp_path, "mixed", whole, *others))

    assert isinstance(index, SeriesIndex)
    assert index.table.column("FileName").to_pylist() == [whole.name]
    listed = [path.name for path in others if path.name != "DICOMDIR"]  # that one is not even listed
    assert index.objects["listed"] == 1 + len(listed)
    assert sum(index.objects["rejected"].values()) == len(listed)
    assert set(index.objects["rejected"]) == {"not-dicom", "bad-header"}
    assert image.failures == ()
    assert image.n_tiles == 1
