"""Rows and items come to what each comes to by itself, whatever stands before and behind them."""

from __future__ import annotations

import io
import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.batch.manifest.entries import Reading, Surroundings
from dsp_batch.batch.manifest.json_items import parse_json
from dsp_batch.batch.manifest.text import parse_lines, read_lines

A = "28621ba9-1aca-4aab-a2a1-f6d2c3e2ab19"
B = "38902e14-b11f-4548-910e-771ee757dc82"
HEADERS = (
    ("crdc_series_uuid", "aws_bucket", "collection_id", "note"),
    ("note", "SeriesInstanceUID", "age"),
    ("series_aws_url", "crdc_series_uuid", "note", "note"),
    ("gcs_url",),
)
CELLS = (
    *(A, B, A.upper(), f"s3://idc-open-data/{A}/*", f"gs://public-datasets-idc/{B}/", "1.2.840.10008.1", "1.2..3"),
    *(
        "idc-open-data",
        "mine/",
        "",
        " ",
        "7",
        "a b",
        " x ",
        "ü",
        "日本",
        "what is this",
        "crdc_series_uuid",
        "#7",
        "\v",
    ),
)
ITEMS = (
    *(f'{{"crdc_series_uuid": "{A}", "aws_bucket": "idc-open-data", "n": [1]}}', f'{{"crdc_series_uuid": "{B}"}}'),
    *('{"SeriesInstanceUID": "1.2.3", "n": {"a": "ü"}}', f'"{A}"', "{}", "3", "null"),
    *('{"a": 1}, {"b": 2}', '{"a": [{}', "{}]}", '"\\u0000"', "[1", "2]", "[]", '{"a": 1', "x", "]", "["),
)


def read(text: str) -> list[Reading]:
    """What the lines of a manifest come to."""
    surroundings = Surroundings(source="m", root="s3://idc-open-data", root_is_certain=False)
    stream = io.StringIO(text)
    return [
        *(parse_json(stream, surroundings) if text[0] == "{" else parse_lines(read_lines(stream, "m"), surroundings))
    ]


def tables() -> st.SearchStrategy[tuple[str, list[str]]]:
    """A header row, and rows of its width and others."""

    def build(header: tuple[str, ...], delimiter: str) -> st.SearchStrategy[tuple[str, list[str]]]:
        row = st.lists(st.sampled_from(CELLS), min_size=len(header), max_size=len(header))
        rows = row.map(delimiter.join) | st.sampled_from([delimiter.join(header), "# note", delimiter, A])
        simple = st.lists(row.map(delimiter.join), min_size=1, max_size=8)
        return st.tuples(st.just(delimiter.join(header)), simple | st.lists(rows, min_size=1, max_size=8))

    return st.tuples(st.sampled_from(HEADERS), st.sampled_from([",", "\t", ";"])).flatmap(lambda each: build(*each))


@given(tables())
@settings(max_examples=300, deadline=None)
def test_rows_come_to_the_same_among_others_as_alone(table: tuple[str, list[str]]) -> None:
    header, rows = table

    together = read("\n".join([header, *rows, ""]))

    # Empty lines between, so that rows keep their numbers.
    alone = [read("\n".join([header, *[""] * place, row, ""])) for place, row in enumerate(rows)]
    assert together == [*chain.from_iterable(alone)]
    assert [dict(columns_of(reading)) for reading in together] == [
        dict(columns_of(reading)) for reading in chain.from_iterable(alone)
    ]


@given(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=9))
@settings(max_examples=300, deadline=None)
def test_items_come_to_the_same_among_others_as_alone(items: list[str]) -> None:
    first = f'{{"crdc_series_uuid": "{A}"}}'

    together = read("\n".join([first, *items, ""]))

    alone = [read("\n".join([first, *[""] * place, item, ""]))[1:] for place, item in enumerate(items)]
    assert together[1:] == [*chain.from_iterable(alone)]


def columns_of(reading: Reading) -> Any:
    return getattr(reading, "columns", {})


@pytest.mark.parametrize(
    "text",
    [
        f"crdc_series_uuid,aws_bucket,age,note\n{A},mine, 7 ,\n",
        f'crdc_series_uuid,aws_bucket,age,note\n{A},mine,"7",\n',
        json.dumps([{"crdc_series_uuid": A, "aws_bucket": "mine", "age": "7", "note": ""}]),
    ],
)
def test_carried_cells_come_without_blanks_and_null_where_they_are_empty(text: str) -> None:
    (reading,) = read(text) if text[0] != "[" else [*parse_json(io.StringIO(text), Surroundings(source="m", root="/d"))]

    assert columns_of(reading) == {"age": "7", "note": None}
