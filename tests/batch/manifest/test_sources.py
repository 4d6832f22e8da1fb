"""What a program may give as a manifest besides a file: names, series, tables, data frames."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from manifest_reading import NO_INDEX, OPEN, A, B, C, reasons, stream, urls, write_manifest

from dsp_batch.batch.manifest.read import read_manifest, read_manifest_table
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import SeriesRef

COLUMNS = {"series_aws_url": [f"{OPEN}/{A}/*", f"s3://mine/{B}/*"], "age": [7, 8], "sex": ["F", "M"]}


def test_names_in_a_list_are_lines(caplog: pytest.LogCaptureFixture) -> None:
    names = [A, f" {OPEN}-two/{B}/* ", A.upper(), "what is this", "/d/some folder/"]

    found = [*stream(names)]

    assert urls([found[number] for number in (0, 1, 4)]) == [f"{OPEN}/{A}", f"{OPEN}-two/{B}", "/d/some folder"]
    assert reasons(found)[0].startswith("list of series:4: 'what is this' names no series")
    with caplog.at_level(logging.WARNING):
        assert [ref.line for ref in read_manifest(iter(names[:4]))] == [1, 2]


def test_series_in_a_list_keep_what_they_are() -> None:
    series = [
        SeriesRef("s3://mine", A, "https://host", {"age": 7}, line=40),
        SeriesRef("/d", B, folder="some folder", scan="x:y", digest="1:0"),
        SeriesRef("s3://other", A),
    ]

    manifest = read_manifest_table(series, root=OPEN, lookup=NO_INDEX)

    assert [*manifest.series()] == [
        SeriesRef("s3://mine", A, "https://host", {"age": 7}, line=1),
        SeriesRef("/d", B, None, {"age": None}, line=2, folder="some folder", scan="x:y", digest="1:0"),
    ]
    assert manifest.duplicates == 1


def test_what_names_nothing_in_a_list_is_rejected() -> None:
    found = [*stream([A, None, 5, Path("/d")], label="cohort")]

    assert reasons(found)[:2] == [
        "cohort:2: a series is named by a text or a SeriesRef",
        "cohort:3: a series is named by a text or a SeriesRef",
    ]


@pytest.mark.parametrize("build", [pa.table, pd.DataFrame, pl.DataFrame])
def test_tables_and_data_frames_carry_their_other_columns(build: Callable[[Any], Any]) -> None:
    manifest = read_manifest_table(build(COLUMNS), root=OPEN, lookup=NO_INDEX)

    assert [*manifest.series()] == [
        SeriesRef(OPEN, A, None, {"age": 7, "sex": "F"}, line=1),
        SeriesRef("s3://mine", B, None, {"age": 8, "sex": "M"}, line=2),
    ]
    assert manifest.table.schema.field("age").type == pa.int64()
    assert manifest.rejected.source == "table"


@pytest.mark.parametrize("build", [pd.Series, pl.Series])
def test_one_column_of_a_data_frame_is_a_list_of_names(build: Callable[[Any], Any]) -> None:
    assert urls([*stream(build([A, B, C]))]) == [f"{OPEN}/{uuid}" for uuid in (A, B, C)]


def test_a_table_without_a_column_that_names_series_is_an_error() -> None:
    with pytest.raises(ManifestError, match="table: none of its columns names a series"):
        list(stream(pl.DataFrame({"age": [1]})))


@pytest.mark.parametrize("source", [[], pa.table({"crdc_series_uuid": pa.array([], pa.string())})])
def test_nothing_is_an_error(source: Any) -> None:
    with pytest.raises(ManifestError, match="names no series"):
        list(stream(source))


def test_a_path_may_be_an_object(tmp_path: Path) -> None:
    path = Path(write_manifest(tmp_path, f"{A}\nwhat?\n"))

    assert [ref.url for ref in read_manifest(path)] == [f"{OPEN}/{A}"]
    assert read_manifest_table(path, root=OPEN, lookup=NO_INDEX).rejected.source == str(path)
