"""A hostile object in a folder of three good slices of its series: the slices are drawn, and one line says so."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from data_folder import DATA, needs_data
from outcomes import Run, run_here
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.batch.runs.results import read_results
from dsp_batch.cli import batch
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import read_bytes
from dsp_batch.phantom.objects import phantom_uuid

HOSTILE = sorted((DATA / "hostile").glob("*.dcm*"))
PLACES = ("aa", "zz")
"""The hostile object is read first, and last."""

SERIES_INSTANCE_UID = 0x0020000E

pytestmark = needs_data


def read_hostile(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def find_series_uid(data: bytes) -> str:
    """The SeriesInstanceUID of an object, so that the slices beside it are of its series."""
    try:
        element = read_bytes(read_header("a.dcm", len(data)), data).elements.get(SERIES_INSTANCE_UID)
    except HeaderError:
        return "1.2"
    return element.text if element else "1.2"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of series for each hostile object and each place of it."""
    root = tmp_path_factory.mktemp("hostile")
    for path in HOSTILE:
        data = read_hostile(path)
        uid = find_series_uid(data)
        for place in PLACES:
            folder = root / phantom_uuid(f"{path.name} {place}")
            folder.mkdir()
            (folder / f"{place}.dcm").write_bytes(data)
            for number in range(3):
                own = {"SOPInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": uid, "InstanceNumber": number}
                dataset = add_pixels(make_dataset(**own, ImagePositionPatient=[0, 0, -number]), size=32)
                dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
                (folder / f"slice-{number}.dcm").write_bytes(write_dataset(dataset))
    return root


@pytest.fixture(scope="module")
def rows(root: Path, scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Any]]:
    """The rows of one batch over all of them."""
    cache = tmp_path_factory.mktemp("cache")
    words = ("mosaic", f"{root}/", "--root", root, "--cache-dir", cache, "--scheduler", scheduler)
    outcome = run_here(batch.program, batch.NAME, *words)
    assert (outcome.status, outcome.errors) == (0, [])
    return {row["series_uuid"]: row for row in read_results(outcome.stdout.split()[-1]).to_pylist()}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.name)
def test_the_slices_beside_a_hostile_object_are_drawn(
    preview: Run, root: Path, path: Path, place: str, tmp_path: Path
) -> None:
    folder = root / phantom_uuid(f"{path.name} {place}")

    outcome = preview("mosaic", folder, tmp_path / "out.webp", "--no-cache")

    assert (outcome.status, outcome.errors) == (0, [])
    assert (tmp_path / "out.webp").exists()
    assert 1 <= len(outcome.warnings) == len(outcome.stderr.splitlines()) <= 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.name)
def test_the_row_of_a_series_with_a_hostile_object_says_so(
    rows: Mapping[str, Mapping[str, Any]], path: Path, place: str
) -> None:
    row = rows[phantom_uuid(f"{path.name} {place}")]

    assert (row["status"], row["reason"]) == ("done", None)
    assert row["n_tiles"] >= 3
    assert row["notes"] or row["error"]
    assert all(each.isprintable() for each in (row["notes"] or "", row["error"] or ""))
