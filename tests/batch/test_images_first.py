"""A batch draws images first: one run finds the images of its objects, and another one draws again what lacked them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data_folder import DATA, IS_EXPECTED
from distributed import Client, LocalCluster

from dsp_batch import PreviewOptions, preview, read_results, run_batch

OBJECTS = DATA / "objects"
SMALL = PreviewOptions(size=128)

pytestmark = pytest.mark.skipif(not OBJECTS.is_dir() and not IS_EXPECTED, reason="the pack of objects is not here")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as connected,
    ):
        yield connected


def copy(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for path in (OBJECTS / folder).iterdir():
            (root / folder / path.name).write_bytes(path.read_bytes())
    return root


def read_forms(cache: Path, run: str) -> dict[str, tuple[Any, ...]]:
    rows = read_results(cache, run).to_pylist()
    return {row["modality"]: (row["status"], row["drawn_as"], row["context"]) for row in rows}


def test_one_run_draws_objects_over_images_that_it_has_drawn(tmp_path: Path, client: Client) -> None:
    root = copy(tmp_path / "root", "rtstruct-breast-10-rois", "ref-ct-breast", "ko-xa-1", "ref-xa-1")

    summary = run_batch(root, SMALL, cache=tmp_path / "cache", client=client)

    assert summary.by_status == {"done": 4}
    assert read_forms(tmp_path / "cache", summary.run) == {
        "CT": ("done", "image", None),
        "XA": ("done", "mosaic", None),
        "KO": ("done", "mosaic", "drawn"),
        "RTSTRUCT": ("done", "overlay", "drawn"),
    }
    rows = {row["modality"]: row for row in read_results(tmp_path / "cache", summary.run).to_pylist()}
    alone = preview(root / "rtstruct-breast-10-rois", SMALL, cache=tmp_path / "cache")
    assert (tmp_path / "cache" / rows["RTSTRUCT"]["preview"]).read_bytes() == alone.data


def test_what_was_drawn_without_its_image_is_drawn_again_when_that_has_come(tmp_path: Path, client: Client) -> None:
    objects = copy(tmp_path / "objects", "rtstruct-breast-10-rois")
    images = copy(tmp_path / "images", "ref-ct-breast")

    def run(root: Path) -> tuple[str, dict[str, tuple[Any, ...]]]:
        summary = run_batch(root, SMALL, cache=tmp_path / "cache", client=client)
        return summary.run, read_forms(tmp_path / "cache", summary.run)

    name, before = run(objects)
    run(images)
    _, after = run(objects)
    attempts = read_results(tmp_path / "cache", name).column("attempt").to_pylist()
    run(objects)

    assert before == {"RTSTRUCT": ("done", "picture", "absent")}
    assert after == {"RTSTRUCT": ("done", "overlay", "drawn")}
    assert read_results(tmp_path / "cache", name).column("attempt").to_pylist() == attempts


def test_another_run_does_not_keep_what_lacks_its_image(tmp_path: Path, client: Client) -> None:
    root = copy(tmp_path / "root", "rtstruct-breast-10-rois")
    run_batch(root, SMALL, cache=tmp_path / "cache", client=client)
    copy(root, "ref-ct-breast")

    summary = run_batch(root, SMALL, cache=tmp_path / "cache", client=client)

    assert read_forms(tmp_path / "cache", summary.run)["RTSTRUCT"] == ("done", "overlay", "drawn")


def test_nothing_waits_where_no_image_is_wanted(tmp_path: Path, client: Client) -> None:
    root = copy(tmp_path / "root", "rtstruct-breast-10-rois", "ref-ct-breast")

    summary = run_batch(root, PreviewOptions(size=128, context="off"), cache=tmp_path / "cache", client=client)

    assert read_forms(tmp_path / "cache", summary.run)["RTSTRUCT"] == ("done", "picture", "not-looked-for")
