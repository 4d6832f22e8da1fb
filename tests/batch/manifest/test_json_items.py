"""Manifests in JSON: arrays, JSON Lines, and answers of IDC's API."""

from __future__ import annotations

import json
import random
import tracemalloc
import uuid
from pathlib import Path

import pytest
from manifest_reading import (
    OPEN,
    A,
    B,
    C,
    entries,
    reasons,
    stream,
    urls,
)

from dsp_batch.errors import ManifestError
from dsp_batch.model.series import SeriesRef


def test_json_arrays_hold_objects_or_texts(tmp_path: Path) -> None:
    items = [{"crdc_series_uuid": A, "aws_bucket": "mine", "age": 7}, f"{OPEN}/{B}/*", 5, {"age": 8}]

    found = entries(tmp_path, json.dumps(items, indent=1))

    assert found[:2] == [
        SeriesRef(root="s3://mine", series_uuid=A, columns={"age": 7}, line=1),
        SeriesRef(root=OPEN, series_uuid=B, line=2),
    ]
    assert reasons(found)[0] == "manifest.txt:3: an item is an object or a text"
    assert "none of its keys names a series" in reasons(found)[1]


def test_json_lines_are_read_whatever_the_name(tmp_path: Path) -> None:
    rows = [{"crdc_series_uuid": A, "tags": ["x", "y"]}, {"series_aws_url": f"{OPEN}/{B}/*", "empty": ""}]
    content = "\n".join(map(json.dumps, rows)) + '\n\n{"crdc_series_uuid": \n'

    found = entries(tmp_path, content)

    assert [(entry.series_uuid, entry.columns) for entry in found if isinstance(entry, SeriesRef)] == [
        (A, {"tags": '["x", "y"]'}),
        (B, {"empty": None}),
    ]
    assert reasons(found) == ["manifest.txt:4: not readable as JSON"]


def test_json_lines_may_begin_with_a_broken_line(tmp_path: Path) -> None:
    found = entries(tmp_path, '{"crdc_series_uuid": \n' + json.dumps({"crdc_series_uuid": A}) + "\n")

    assert reasons(found) == ["manifest.txt:1: not readable as JSON"]
    assert len(found) == 2


@pytest.mark.parametrize("indent", [None, 2])
def test_answers_of_the_api_are_read(tmp_path: Path, indent: int | None) -> None:
    rows = [{"aws_bucket": "idc-open-data-cr", "crdc_series_uuid": A}]
    answer = {"code": 200, "manifest": {"manifest_data": rows, "totalFound": 1}}

    assert urls(entries(tmp_path, json.dumps(answer, indent=indent))) == [f"{OPEN}-cr/{A}"]


@pytest.mark.parametrize("content", ["[1, 2", "{\n 5", '{"manifest": 5}', '{"manifest": {}}'])
def test_damaged_json_is_one_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt:.*JSON"):
        entries(tmp_path, content)


@pytest.mark.parametrize(
    ("head", "between", "tail"),
    [
        ("[", ", ", "]"),
        ("[\n  ", ",\n  ", "\n]\n"),
        ('{"code": 200, "manifest": {"totalFound": 9, "manifest_data": [', ",", ']}, "next": null}'),
        ('{"manifest_data": [', ",", "]}"),
        ('\n{\n "manifest": [\n', ",\n", "\n]\n}\n"),
    ],
)
def test_long_json_documents_stream(tmp_path: Path, head: str, between: str, tail: str) -> None:
    source = random.Random(6)
    items = [
        f'{{"crdc_series_uuid": "{uuid.UUID(int=source.getrandbits(128))}", "size": {source.randrange(10**9)}}}'
        for _ in range(8_000)
    ]
    (tmp_path / "long.json").write_text(head + between.join(items) + tail)

    tracemalloc.start()
    try:
        found = stream(str(tmp_path / "long.json"))
        pairs = ((each.series_uuid, each.columns["size"]) for each in found if isinstance(each, SeriesRef))
        same = [
            (item["crdc_series_uuid"], item["size"]) == pair
            for item, pair in zip(map(json.loads, items), pairs, strict=True)
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (len(same), all(same)) == (8_000, True)
    assert peak < 12e6


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("", "its end"),
        ("] [1]", "more behind"),
        (", {]", "Expecting property name"),
        (', "' + "x" * 2_000_000, "longer than"),
    ],
)
def test_json_that_is_damaged_behind_its_first_items_is_an_error(tmp_path: Path, tail: str, words: str) -> None:
    content = "[" + ", ".join(f'"{each}"' for each in (A, B, C)) + tail

    with pytest.raises(ManifestError, match=rf"manifest\.txt: not readable as JSON behind item 3.*{words}"):
        entries(tmp_path, content)


def test_json_that_is_nested_without_end_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt: not readable as JSON"):
        entries(tmp_path, "[" * 200_000)


def test_a_line_of_json_that_is_too_long_is_rejected_and_the_next_is_read(tmp_path: Path) -> None:
    rows = ({"crdc_series_uuid": A}, {"note": "x" * 10_000_000}, {"crdc_series_uuid": B})

    found = entries(tmp_path, "\n".join(map(json.dumps, rows)))

    assert [entry.line for entry in found if isinstance(entry, SeriesRef)] == [1, 3]
    assert reasons(found) == ["manifest.txt:2: longer than 1048576 characters"]
