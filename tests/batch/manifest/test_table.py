"""The manifest as a table: what its rows are, and how it is written and read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from manifest_reading import GOOGLE, GOOGLE_COMMENT, NO_INDEX, OPEN, A, B, C, write_manifest

from dsp_batch.batch.manifest import table
from dsp_batch.batch.manifest.read import read_manifest, read_manifest_table
from dsp_batch.batch.manifest.table import Manifest, parse_manifest, serialize_manifest
from dsp_batch.errors import ManifestError
from dsp_batch.model.identifiers import digest_series


def read(tmp_path: Path, content: str) -> Manifest:
    return read_manifest_table(write_manifest(tmp_path, content), root=OPEN, lookup=NO_INDEX, label="m.txt")


def test_a_row_a_series_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    manifest = read(tmp_path, f"{GOOGLE_COMMENT}{B}\ncp s3://idc-open-cr/{A}/* .\nwhat?\n{B}\n/d/some folder/\n")

    assert manifest.table.drop_columns(["series_uuid", "scan", "digest"]).to_pylist() == [
        {"root": OPEN, "endpoint_url": None, "line": 2, "folder": None},
        {"root": "s3://idc-open-cr", "endpoint_url": GOOGLE, "line": 3, "folder": None},
        {"root": "/d", "endpoint_url": GOOGLE, "line": 6, "folder": "some folder"},
    ]
    assert manifest.table.column("series_uuid").to_pylist()[:2] == [B, A]
    assert (len(manifest), manifest.duplicates, manifest.columns) == (3, 1, ())
    assert [str(line).split(" names")[0] for line in manifest.rejected] == ["m.txt:4: 'what?'"]


@pytest.mark.parametrize("columns", [[], ["age", "note", "Root", "root"]])
def test_rows_are_series_as_the_public_reader_gives_them(tmp_path: Path, columns: Sequence[str]) -> None:
    header = ",".join(["crdc_series_uuid", *columns])
    rows = [",".join([uuid, *(f"{name} {uuid[:2]}" for name in columns)]) for uuid in (A, B, C)]
    manifest = read(tmp_path, "\n".join([header, *rows]))

    expected = list(read_manifest(write_manifest(tmp_path, "\n".join([header, *rows]))))

    assert [*manifest.series()] == expected
    assert [*manifest.series(1)] == expected[1:]
    assert [*manifest.series(1, 2)] == expected[1:2]
    assert [*manifest.series(2, 9)] == expected[2:]
    assert manifest.columns == tuple(columns)
    assert manifest.digest == digest_series(expected)


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([7, None, 8], pa.int64(), [7, None, 8]),
        ([1.5, 2.0, None], pa.float64(), [1.5, 2.0, None]),
        ([True, None, False], pa.bool_(), [True, None, False]),
        ([None, None, ""], pa.string(), [None, None, None]),
        ([7, "x", 1.5], pa.string(), ["7", "x", "1.5"]),
        ([2**70, 1, None], pa.string(), [str(2**70), "1", None]),
        ([[1], {"a": 2}, "x"], pa.string(), ["[1]", '{"a": 2}', "x"]),
        (["\ud800", "ü", None], pa.string(), ["\\ud800", "ü", None]),
    ],
)
def test_carried_columns_keep_the_one_type_that_they_have(
    tmp_path: Path, values: list[Any], kind: pa.DataType, cells: list[Any]
) -> None:
    items = [{"crdc_series_uuid": uuid, "cell": value} for uuid, value in zip((A, B, C), values, strict=True)]

    column = read(tmp_path, "\n".join(map(json.dumps, items))).table.column("cell")

    assert (column.type, column.to_pylist()) == (kind, cells)


def test_columns_that_come_late_or_go_early_are_null_elsewhere(tmp_path: Path) -> None:
    items = [{"crdc_series_uuid": str(uuid)} for uuid in map(make_uuid, range(40_000))]
    items[0]["first"] = "x"
    items[39_999]["last"] = "y"

    found = read(tmp_path, "\n".join(map(json.dumps, items))).table

    assert found.column("first").to_pylist() == ["x", *[None] * 39_999]
    assert found.column("last").to_pylist() == [*[None] * 39_999, "y"]


def make_uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def test_a_column_that_changes_its_type_behind_some_thousand_rows_is_text(tmp_path: Path) -> None:
    items = [{"crdc_series_uuid": make_uuid(number), "n": number} for number in range(20_000)]
    items[-1]["n"] = "many"

    column = read(tmp_path, "\n".join(map(json.dumps, items))).table.column("n")

    assert column.to_pylist() == [*map(str, range(19_999)), "many"]


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = read(tmp_path, f"crdc_series_uuid,line,größe\n{A},1,\n{B},2,x\n{A},3,y\nwhat?,4,\nwhat\ud7ff?,5,z\n")

    data = serialize_manifest(manifest)
    back = parse_manifest(data)

    assert back.table.equals(manifest.table)
    assert (back.columns, back.duplicates, back.digest) == (("line", "größe"), 1, manifest.digest)
    assert ([*back.rejected], len(back.rejected)) == ([*manifest.rejected], 2)
    assert [*back.series()] == [*manifest.series()] != []
    (tmp_path / "manifest.parquet").write_bytes(data)
    found = duckdb.sql(f"select root, series_uuid, line, manifest_line from '{tmp_path}/manifest.parquet'").fetchall()
    assert found == [(OPEN, A, 2, "1"), (OPEN, B, 3, "2")]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100)])
def test_a_damaged_manifest_of_a_run_is_one_error(data: bytes) -> None:
    with pytest.raises(ManifestError, match="not readable as the manifest of a run"):
        parse_manifest(data)


def test_the_manifest_of_another_version_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(table, "_FORMAT", 3)
        data = serialize_manifest(read(tmp_path, A))

    with pytest.raises(ManifestError, match="has format 3: start the run"):
        parse_manifest(data)


def test_millions_of_rejected_lines_are_held_in_some_bytes_each(tmp_path: Path) -> None:
    lines = "".join(f"what is {make_uuid(number * 7919)} meant to be?\n" for number in range(50_000))

    rejected = read(tmp_path, f"{A}\n{lines}").rejected

    assert (len(rejected), sum(1 for _ in rejected)) == (50_000, 50_000)
    assert len(rejected.packed) < 30 * 50_000
