"""`preview` over a manifest: the bytes of the single call, a row that describes the series, kept and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from phantom_bulk import build_many

from dsp_batch import MosaicOptions, PreviewOptions, plan_batch, preview, read_results, run_batch
from dsp_batch.phantom.series import build_corrupt, build_report, write_collection

SMALL = PreviewOptions(size=128)
REPORT = build_report().series_uuid
CORRUPT = build_corrupt().series_uuid


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as connected,
    ):
        yield connected


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of images, a report, and a damaged series."""
    folder = tmp_path_factory.mktemp("collection")
    write_collection(folder, [*build_many(2), build_report(), build_corrupt()])
    return folder


def read_rows(cache: Path, run: str) -> dict[str, dict[str, Any]]:
    return {row["series_uuid"]: row for row in read_results(cache, run).to_pylist()}


def test_a_batch_draws_every_series_as_the_single_call_does(client: Client, root: Path, tmp_path: Path) -> None:
    summary = run_batch(root, SMALL, cache=tmp_path, client=client)

    assert summary.by_status == {"done": 3, "failed": 1}
    rows = read_rows(tmp_path, summary.run)
    for uuid, row in rows.items():
        if uuid != CORRUPT:
            assert (tmp_path / row["preview"]).read_bytes() == preview(root / uuid, SMALL).data
    assert {row["drawn_as"] for row in rows.values() if row["drawn_as"]} == {"mosaic", "image", "card"}


def test_the_rows_describe_the_series(client: Client, root: Path, tmp_path: Path) -> None:
    rows = read_rows(tmp_path, run_batch(root, SMALL, cache=tmp_path, client=client).run)

    report = rows[REPORT]
    image = next(row for row in rows.values() if row["grid"])
    grid = json.loads(image["grid"])
    card = preview(root / REPORT, SMALL)
    assert (report["drawn_as"], report["references"], report["grid"]) == ("card", [], None)
    assert (report["title"], report["n_items"]) == (card.title, card.n_items)
    assert tuple(json.loads(report["summary"])) == card.summary
    assert (image["summary"], image["n_items"], image["references"]) == (None, None, None)
    assert len(grid["instances"]) == image["n_tiles"] == len(grid["positions"])
    assert image["title"].startswith(image["modality"])
    assert image["window_source"] in ("embedded", "auto")
    assert (image["rows"], image["columns"]) != (None, None)
    assert image["patient_id"]


def test_descriptions_can_be_left_out_of_the_rows(client: Client, root: Path, tmp_path: Path) -> None:
    drawn = run_batch(root, SMALL, cache=tmp_path, client=client, describe=False)
    mosaics = run_batch(root, MosaicOptions(tile_width=1), cache=tmp_path, client=client, describe=False)

    for run in (drawn.run, mosaics.run):
        for row in read_rows(tmp_path, run).values():
            told = [row[name] for name in ("patient_id", "study_date", "study_description", "series_description")]
            assert told == [None] * 4


def test_previews_that_are_there_are_kept_and_finished_runs_stay(client: Client, root: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in root.iterdir() if path.name != CORRUPT)
    first = run_batch(names, SMALL, root=root, cache=tmp_path, client=client)
    again = run_batch(names, SMALL, root=root, cache=tmp_path, client=client)
    other = run_batch(names[:2], SMALL, root=root, cache=tmp_path, client=client)

    assert (again.run, again.by_status) == (first.run, {"done": 3})
    assert other.by_status == {"kept": 2}
    before, after = read_rows(tmp_path, first.run), read_rows(tmp_path, other.run)
    for uuid, row in after.items():
        for name in ("drawn_as", "title", "grid", "summary", "references", "n_items", "patient_id", "rows"):
            assert row[name] == before[uuid][name]


def test_a_plan_counts_what_has_no_pixels_as_work(root: Path) -> None:
    assert plan_batch([REPORT], SMALL, root=root).series == 1
