"""A batch from Python: what it takes, what it gives back, and what it refuses in a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from distributed import Client, LocalCluster
from phantom_bulk import build_many

import dsp_batch
from dsp_batch import (
    ClusterOptions,
    ContrastMosaicOptions,
    DspBatchError,
    IndexOptions,
    MosaicOptions,
    RunSummary,
    SeriesRef,
    find_series,
    load_index,
    open_cache,
    plan_batch,
    preview,
    read_results,
    read_status,
    run_batch,
)
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.phantom.series import build_report, write_collection

SMALL = MosaicOptions(tile_width=1, contrast="auto")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of the caller's, with one worker."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as connected,
    ):
        yield connected


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two series that can be drawn and one that cannot."""
    folder = tmp_path_factory.mktemp("collection")
    write_collection(folder, [*build_many(2), build_report()])
    return folder


@pytest.fixture(scope="module")
def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != build_report().series_uuid)


def test_a_batch_is_one_call_with_the_client_of_the_caller(client: Client, root: Path, tmp_path: Path) -> None:
    summary = run_batch(root, SMALL, cache=tmp_path, client=client)

    assert (summary.by_status, summary.succeeded) == ({"done": 2, "skipped": 1}, True)
    assert client.status == "running"
    results = read_results(summary.url)
    assert results.equals(read_results(tmp_path, summary.run))
    assert results.equals(read_results(open_cache(tmp_path)))
    assert sorted(results["series_uuid"].to_pylist()) == sorted(path.name for path in root.iterdir())
    status = read_status(tmp_path)
    assert (status.run, status.series, status.figures.by_status) == (summary.run, 3, summary.by_status)
    assert (status.manifest, status.verb, status.finished is None) == (str(root), "mosaic", False)


def tables(names: list[str]) -> dict[str, Any]:
    columns = {"series_uuid": names, "arm": ["left", "right"]}
    return {"arrow": pa.table(columns), "pandas": pd.DataFrame(columns), "polars": pl.DataFrame(columns)}


@pytest.mark.parametrize("kind", ["arrow", "pandas", "polars"])
def test_a_manifest_may_be_a_table_and_its_columns_are_carried(
    kind: str, client: Client, root: Path, names: list[str], tmp_path: Path
) -> None:
    summary = run_batch(tables(names)[kind], SMALL, root=root, cache=tmp_path, client=client)

    rows = read_results(summary.url).to_pylist()
    assert {row["series_uuid"]: row["arm"] for row in rows} == dict(zip(names, ["left", "right"], strict=True))
    assert read_status(summary.url).manifest == "table"


def test_a_manifest_may_be_names_of_series_and_is_the_same_run_in_every_form(
    client: Client, root: Path, names: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "manifest.txt"
    path.write_text("\n".join(names))
    refs = [SeriesRef(str(root), name) for name in reversed(names)]
    sources = [names, refs, path, str(path), iter(names)]

    runs = [run_batch(source, SMALL, root=root, cache=tmp_path / "cache", client=client) for source in sources]

    assert len({summary.run for summary in runs}) == 1
    assert [summary.by_status for summary in runs] == [{"done": 2}] * len(sources)
    assert set(read_results(tmp_path / "cache")["attempt"].to_pylist()) == {1}


def test_each_verb_goes_by_its_options(client: Client, names: list[str], root: Path, tmp_path: Path) -> None:
    options = ContrastMosaicOptions(contrasts=("ct-lung", "auto"), position=0.5, image_width=32)

    def draw(options: Any, **more: Any) -> RunSummary:
        return run_batch(names[:1], options, root=str(root), cache=str(tmp_path), client=client, **more)

    drawn, indexed = draw(options, name="columns"), draw(IndexOptions())

    assert read_status(tmp_path, drawn.run).name == "columns"
    assert read_results(tmp_path, drawn.run)["width"].to_pylist() == [64]
    assert read_status(tmp_path, indexed.run).verb == "build-index"
    with pytest.raises(OptionsError, match=r"there are 2 runs in .*: name one of them"):
        read_results(tmp_path)


def test_a_scheduler_may_be_named(client: Client, names: list[str], root: Path, tmp_path: Path) -> None:
    address = client.scheduler.address  # type: ignore[union-attr]  # it is connected
    summaries = [
        run_batch(names, SMALL, root=root, cache=tmp_path / "one", scheduler=address),
        run_batch(names, SMALL, root=root, cache=tmp_path / "two", cluster=ClusterOptions(scheduler=address)),
    ]

    assert [summary.by_status for summary in summaries] == [{"done": 2}] * 2


def test_a_plan_reads_no_series(root: Path, names: list[str]) -> None:
    plan = plan_batch([*names, names[0], "what is this"], SMALL, root=root, cores=2)

    assert (plan.series, plan.rejected, plan.duplicates, plan.options.tiles) == (2, 1, 1, 1)
    assert plan.total("objects") == sum(len(list((root / name).iterdir())) for name in names)
    assert str(plan).splitlines()[-1] == "lines: 1 rejected, 1 duplicate"
    assert plan_batch(root, IndexOptions()).options.tiles == 0


def test_places_may_be_path_objects(root: Path, names: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(root)

    ref = find_series(Path(names[0]))

    assert ref == find_series(root / names[0]) == find_series(names[0], root=root) == SeriesRef(str(root), names[0])
    assert len(load_index(Path(names[0]), cache=tmp_path)) == len(list((root / names[0]).iterdir()))
    assert preview(root / names[0], SMALL, cache=open_cache(tmp_path)).n_tiles == 1
    assert [path.name for path in (tmp_path / "indices").iterdir()] == [f"{names[0]}_index.parquet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"tile_width": 2}}, r"options must be one of MosaicOptions, .*, not dict"),
        ({"client": "tcp://10.0.0.1:8786"}, r"client must be a distributed.Client, not str"),
        ({"client": 3, "scheduler": "tcp://10.0.0.1:8786"}, r"either a client or a scheduler"),
        ({"scheduler": "tcp://10.0.0.1:8786", "cluster": ClusterOptions()}, r"within cluster=ClusterOptions"),
        ({"root": 3}, r"root must be a path or a URL, not 3"),
        ({"strict": "yes"}, r"strict must be True or False, not 'yes'"),
        ({"timeout": "long"}, r"timeout must be a number, not 'long'"),
        ({"max_workers": "16"}, r"max_workers must be a whole number, not '16'"),
        ({"name": 3}, r"name must be text, not 3"),
        ({"anonymous": "no"}, r"anonymous must be True or False, not 'no'"),
    ],
)
def test_a_wrong_argument_is_an_error_of_one_line(
    arguments: dict[str, Any], message: str, root: Path, names: list[str], tmp_path: Path
) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        run_batch(names, **{"root": root, "cache": tmp_path, **arguments})

    assert len(caught.value.message.splitlines()) == 1


def test_a_client_that_is_closed_is_refused(names: list[str], root: Path, tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", processes=False) as local,
        Client(local) as closed,
    ):
        pass

    with pytest.raises(DspBatchError, match=r"client is closed"):
        run_batch(names, root=root, cache=tmp_path, client=closed)


def test_there_is_nothing_to_read_where_no_run_was(tmp_path: Path) -> None:
    for read in (read_results, read_status):
        with pytest.raises(ManifestError, match="there is no run in"):
            read(tmp_path)
        with pytest.raises(ManifestError, match="there is no run mosaic-x in"):
            read(tmp_path, "mosaic-x")


def test_public_names_are_there() -> None:
    assert sorted(dsp_batch.__all__, key=str.lower) == sorted(
        {name for name in dsp_batch.__all__ if getattr(dsp_batch, name)}, key=str.lower
    )
