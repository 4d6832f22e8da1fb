"""Where series come from, in the rows of a run: from the IDC index, from the manifest, and for rows of earlier runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from idc_tables import CT, MR, REMOVED

from dsp_batch.batch.manifest.lookup import default_lookup
from dsp_batch.batch.manifest.read import read_manifest_table
from dsp_batch.batch.runs.compaction import compact, fill_rows
from dsp_batch.batch.runs.result_parts import build_table, list_parts, read_part
from dsp_batch.batch.runs.result_row import SeriesResult, build_row, tell_sources
from dsp_batch.batch.runs.resume import sort_keys
from dsp_batch.cache import open_cache
from dsp_batch.idc.index import IdcIndex, SeriesSource, find_sources
from dsp_batch.index.arrays import write_parquet
from dsp_batch.model.series import SeriesRef

FOLDER = "runs/r/results"
BUCKET = "s3://idc-open-data"


@pytest.fixture
def index(tmp_path: Path) -> IdcIndex:
    rows = {
        "crdc_series_uuid": [CT, MR],
        "SeriesInstanceUID": ["1.1", "1.2"],
        "aws_bucket": ["idc-open-data", "idc-open-data"],
        "collection_id": ["4d_lung", "nlst"],
        "license_short_name": ["CC BY 4.0", None],
        "source_DOI": ["10.7937/k9", "10.7937/nlst"],
    }
    path = tmp_path / "idc_index.parquet"
    pq.write_table(pa.table(rows), path)
    return IdcIndex(path=path)


def row_of(uuid: str, **columns: str) -> SeriesResult:
    return build_row(SeriesRef(root=BUCKET, series_uuid=uuid, columns=columns), "done", 1)


def sources(rows: list[SeriesResult]) -> Iterator[tuple[str | None, str | None, str | None]]:
    return ((row.collection_id, row.license, row.source_doi) for row in rows)


def test_series_are_looked_up_by_their_uuid(index: IdcIndex) -> None:
    found = find_sources(index, [MR, "no-uuid", REMOVED, CT, CT])

    assert found == {
        CT: SeriesSource("4d_lung", "CC BY 4.0", "10.7937/k9"),
        MR: SeriesSource("nlst", None, "10.7937/nlst"),
    }
    assert find_sources(index, []) == {}


def test_rows_tell_what_the_index_has_and_else_what_the_manifest_says(index: IdcIndex) -> None:
    rows = [
        row_of(CT, collection_id="mine", license_short_name="mine"),
        row_of(MR, license="CC0"),
        row_of(REMOVED, Collection_ID="mine", source_DOI="10.1/x"),
        row_of("plain-folder"),
    ]

    assert list(sources(tell_sources(rows, index))) == [
        ("4d_lung", "CC BY 4.0", "10.7937/k9"),
        ("nlst", "CC0", "10.7937/nlst"),
        ("mine", None, "10.1/x"),
        (None, None, None),
    ]


def test_without_the_index_rows_tell_what_the_manifest_says() -> None:
    rows = tell_sources([row_of(CT, collection_id="mine"), row_of(MR)], None)

    assert list(sources(rows)) == [("mine", None, None), (None, None, None)]


def test_rows_of_earlier_attempts_get_what_they_lack_when_the_run_ends(index: IdcIndex, tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "cache")
    older = build_table([row_of(CT), row_of(MR)]).drop_columns(["collection_id", "license", "source_doi"])
    cache.write(f"{FOLDER}/part-0001-aaaaaaaa-000000.parquet", write_parquet(older))
    source = tmp_path / "m.csv"
    source.write_text(f"crdc_series_uuid,arm\n{CT},left\n{MR},right\n")
    manifest = read_manifest_table(source, root=BUCKET, lookup=default_lookup())

    def fill(table: pa.Table) -> pa.Table:
        return fill_rows(table, manifest, sort_keys(manifest), index)

    compact(cache, FOLDER, manifest.columns, fill)

    (key,) = list_parts(cache, FOLDER)
    found = {row["series_uuid"]: row for row in read_part(cache, key).to_pylist()}
    assert [found[CT][name] for name in ("collection_id", "license", "arm")] == ["4d_lung", "CC BY 4.0", "left"]
    assert [found[MR][name] for name in ("collection_id", "license", "arm")] == ["nlst", None, "right"]
    compact(cache, FOLDER, manifest.columns, fill)
    assert list_parts(cache, FOLDER) == [key]
