"""Tables of headers: what stands in them, and how files of each format hold it."""

from __future__ import annotations

import base64
import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from written_objects import add_pixels, index_objects, make_dataset, write_dataset

from dsp_batch.errors import OptionsError
from dsp_batch.index.columns import is_column_name
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.index.tables.filled import fill_table, split_table
from dsp_batch.index.tables.formats import write_split, write_table


@pytest.fixture(scope="module")
def index() -> SeriesIndex:
    """Three instances; some elements vary, some are the same."""
    objects = []
    for number in range(3):
        dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number + 1, Modality="MR"))
        dataset.SliceThickness = f"0.{number + 1}"
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.SeriesDescription = "=HYPERLINK(1)"
        dataset.ImageComments = "-x" if number else "\x1b[31mred"
        dataset.FrameTime = "40"
        dataset.ICCProfile = b"\1\2\3\4"
        code = Dataset()
        code.CodeValue = f"C{number}"
        dataset.ProcedureCodeSequence = Sequence([code])
        objects.append(write_dataset(dataset))
    return index_objects(*objects)


def parse_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_what_all_instances_share_stands_in_each_row(index: SeriesIndex) -> None:
    table = fill_table(index)

    assert table.column("Modality").to_pylist() == ["MR"] * 3
    assert table.column("ImageType").to_pylist() == [["ORIGINAL", "PRIMARY"]] * 3
    assert table.column("InstanceNumber").to_pylist() == index.values("InstanceNumber")
    assert table.column("ICCProfile").to_pylist() == [b"\1\2\3\4"] * 3
    assert table.column("0018_1063").to_pylist() == [40.0] * 3
    assert len(set(table.schema.names)) == len(table.schema.names)


def test_columns_have_the_type_that_they_would_have_if_they_varied(index: SeriesIndex) -> None:
    schema = fill_table(index).schema

    assert (schema.field("Rows").type, schema.field("0018_1063").type) == (pa.int32(), pa.float32())


def test_each_format_holds_the_same_values(index: SeriesIndex) -> None:
    table = fill_table(index)

    parquet = pq.read_table(io.BytesIO(write_table(table, "parquet")))
    documents = [
        json.loads(write_table(table, "json")),
        [json.loads(line) for line in write_table(table, "jsonl").splitlines()],
    ]
    cells = parse_csv(write_table(table, "csv"))

    assert parquet.column("SliceThickness").to_pylist() == table.column("SliceThickness").to_pylist()
    for rows in documents:
        assert sorted(row["SliceThickness"] for row in rows) == [0.1, 0.2, 0.3]
        assert rows[0]["ImageType"] == ["ORIGINAL", "PRIMARY"]
        assert rows[0]["ICCProfile"] == base64.b64encode(b"\1\2\3\4").decode()
        assert rows[0]["ProcedureCodeSequence"][0]["00080100"]["Value"][0].startswith("C")
        assert list(rows[0]) == table.schema.names
    assert sorted(row["SliceThickness"] for row in cells) == ["0.1", "0.2", "0.3"]
    assert cells[0]["ImageType"] == "ORIGINAL\\PRIMARY"


def test_binary_numbers_of_64_bits_are_what_they_were_in_each_format() -> None:
    values = [0.10000000149011612, 0.5]  # 32 bits hold both
    objects = [
        write_dataset(make_dataset(SOPInstanceUID=f"1.{number}", DiffusionBValue=value))
        for number, value in enumerate(values)
    ]
    table = fill_table(index_objects(*objects))

    assert table.schema.field("DiffusionBValue").type == pa.float32()
    assert sorted(row["DiffusionBValue"] for row in json.loads(write_table(table, "json"))) == values
    assert sorted(float(row["DiffusionBValue"]) for row in parse_csv(write_table(table, "csv"))) == values


def test_cells_of_csv_are_neither_formulas_nor_commands_of_a_terminal(index: SeriesIndex) -> None:
    data = write_table(fill_table(index), "csv")

    cells = parse_csv(data)
    assert {row["SeriesDescription"] for row in cells} == {"'=HYPERLINK(1)"}
    assert {row["ImageComments"] for row in cells} == {"'-x", "\\x1b[31mred"}
    assert b"\x1b" not in data


def test_what_is_the_same_may_be_kept_apart(index: SeriesIndex) -> None:
    tables = split_table(index)

    document = json.loads(write_split(tables, "json"))
    first, *lines = [json.loads(line) for line in write_split(tables, "jsonl").splitlines()]

    assert document["constant"]["Modality"] == "MR"
    assert document["instances"] == lines
    assert first == {"constant": document["constant"]}
    assert not set(document["constant"]) & set(lines[0])
    assert set(document["constant"]) | set(lines[0]) == set(fill_table(index).schema.names)


def test_numbers_that_are_none_are_text_in_json(index: SeriesIndex) -> None:
    table = pa.table({"Value": pa.array([float("nan"), float("inf"), 1.5])})

    assert [row["Value"] for row in json.loads(write_table(table, "json"))] == ["nan", "inf", 1.5]


@pytest.mark.parametrize("name", ["Modalty", "modality", "seriesuid", "00100010", "abcd_wxyz", ""])
def test_values_refuse_what_no_index_can_have(index: SeriesIndex, name: str) -> None:
    with pytest.raises(OptionsError, match="no keyword of DICOM"):
        index.values(name)


@pytest.mark.parametrize("name", ["Modalty", "PatientNme"])
def test_the_refusal_names_the_most_similar_keyword(index: SeriesIndex, name: str) -> None:
    with pytest.raises(OptionsError, match=r"did you mean (Modality|PatientName)"):
        index.values(name)


@pytest.mark.parametrize("name", ["KVP", "0009_1001", "GridSlices", "ICCProfile_Size", "FramePosition"])
def test_an_element_that_the_series_lacks_is_absent_from_each_row(index: SeriesIndex, name: str) -> None:
    assert index.values(name) == [None] * 3


def test_every_column_that_an_index_has_may_be_asked_for(index: SeriesIndex) -> None:
    assert [name for name in fill_table(index).schema.names if not is_column_name(name)] == []
