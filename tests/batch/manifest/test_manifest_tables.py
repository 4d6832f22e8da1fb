"""Manifests that are tables: CSV, TSV and Parquet."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from idc_tables import CT
from manifest_reading import (
    INSTANCE,
    MINE,
    OPEN,
    A,
    B,
    C,
    entries,
    reasons,
    stream,
    urls,
    write_manifest,
)

from dsp_batch.batch.manifest.entries import DuplicateLine
from dsp_batch.batch.manifest.lookup import Lookup
from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import SeriesRef

# Forms 7 and 8: tables in text


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_tables_carry_their_other_columns(tmp_path: Path, delimiter: str) -> None:
    rows = [["Modality", "Series_AWS_URL", "note"], ["CT", f"{OPEN}/{A}/*", '"a, b; c"'], ["MR", f"{OPEN}/{B}/*", ""]]

    found = entries(tmp_path, "".join(delimiter.join(row) + "\n" for row in rows))

    assert urls(found) == [f"{OPEN}/{A}", f"{OPEN}/{B}"]
    assert [(entry.columns, entry.line) for entry in found if isinstance(entry, SeriesRef)] == [
        ({"Modality": "CT", "note": "a, b; c"}, 2),
        ({"Modality": "MR", "note": None}, 3),
    ]


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("crdc_series_uuid", A),
        ("series_uuid", A.upper()),
        ("aws_url", f"{OPEN}/{A}/{INSTANCE}.dcm"),
        ("gcs_url", f"gs://public-datasets-idc/{A}/{INSTANCE}.dcm"),
        ("aws_bucket,crdc_series_uuid", f"idc-open-data,{A}"),
        ("CRDC_Series_UUID , AWS_Bucket", f"{A}, idc-open-data"),
        ("aws_bucket,series_uuid", f",{A}"),
        ("crdc_series_uuid,series_aws_url", f"{B},{OPEN}/{A}/*"),
        ("aws_url,crdc_series_uuid", f"{OPEN}/{INSTANCE}.dcm,{A}"),
    ],
)
def test_each_key_column_names_the_series(tmp_path: Path, header: str, cell: str) -> None:
    assert urls(entries(tmp_path, f"{header}\n{cell}\n")) == [f"{OPEN}/{A}"]


def test_the_bucket_column_counts(tmp_path: Path) -> None:
    found = entries(tmp_path, f"aws_bucket,crdc_series_uuid\nidc-open-data-cr,{A}\nmine,{B}\n")

    assert urls(found) == [f"{OPEN}-cr/{A}", f"s3://mine/{B}"]


def test_the_column_of_googles_bucket_gives_its_twin(tmp_path: Path) -> None:
    rows = [f"idc-open-cr,,{A}", f"public-datasets-idc,,{B}", f"mine,theirs,{C}", f",,{INSTANCE}"]

    found = entries(tmp_path, "\n".join(["gcs_bucket,aws_bucket,crdc_series_uuid", *rows]), root="s3://root")

    assert urls(found) == [f"{OPEN}-cr/{A}", f"{OPEN}/{B}", f"s3://theirs/{C}", f"s3://root/{INSTANCE}"]
    assert urls(entries(tmp_path, f"gcs_bucket,crdc_series_uuid\nmine,{A}\n")) == [f"gs://mine/{A}"]


def test_rows_of_one_cell_may_come_before_the_header(tmp_path: Path) -> None:
    content = f'"My cohort"\n\n# made by hand\nversion 7\ncrdc_series_uuid,age\n{A},7\n'

    found = entries(tmp_path, content)

    assert found == [SeriesRef(root=OPEN, series_uuid=A, columns={"age": "7"}, line=6)]


def test_a_header_in_the_middle_does_not_swallow_the_lines_before(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{A}\ncrdc_series_uuid\n{B}\n")

    assert [entry.series_uuid for entry in found if isinstance(entry, SeriesRef)] == [A, B]


def test_tables_put_together_repeat_their_header(tmp_path: Path) -> None:
    table = "crdc_series_uuid,age\n{},1\n"

    assert urls(entries(tmp_path, table.format(A) + table.format(B))) == [f"{OPEN}/{A}", f"{OPEN}/{B}"]


def test_a_cell_may_hold_line_ends(tmp_path: Path) -> None:
    found = entries(tmp_path, f'note,crdc_series_uuid\n"two\nlines",{A}\nplain,{B}\n')

    assert [(entry.columns, entry.line) for entry in found if isinstance(entry, SeriesRef)] == [
        ({"note": "two\nlines"}, 2),
        ({"note": "plain"}, 4),
    ]


def test_a_quotation_mark_that_is_never_closed_spoils_one_line(tmp_path: Path) -> None:
    others = [str(uuid.UUID(int=number)) for number in range(50)]
    content = f'crdc_series_uuid,note\n{A},"oops\n' + "".join(f"{name},x\n" for name in others)

    found = [entry.series_uuid for entry in entries(tmp_path, content) if isinstance(entry, SeriesRef)]

    assert found == [A, *others]


def test_lone_quotation_marks_of_two_rows_do_not_join_them(tmp_path: Path) -> None:
    found = entries(tmp_path, f'crdc_series_uuid,note\n{A},5" disk\n{B},6" disk\n{C},x\n')

    assert [(entry.columns, entry.line) for entry in found if isinstance(entry, SeriesRef)] == [
        ({"note": '5" disk'}, 2),
        ({"note": '6" disk'}, 3),
        ({"note": "x"}, 4),
    ]


def test_a_row_with_a_cell_without_end_is_rejected_and_the_next_is_read(tmp_path: Path) -> None:
    found = entries(tmp_path, f'crdc_series_uuid,note\n{A},"{"x" * 200_000}"\n{B},"y"\n')

    assert reasons(found) == ["manifest.txt:2: a cell is longer than 131072 characters"]
    assert urls(found[1:]) == [f"{OPEN}/{B}"]


def test_rows_that_differ_in_their_key_columns_are_told_apart(tmp_path: Path) -> None:
    rows = [f"{OPEN}/{A}/*,,1", f",{B},2", "x,,3", f"{OPEN}-cr/{C}/*,{A},4", ",,5", f"nonsense,{INSTANCE},6", B]

    found = entries(tmp_path, "\n".join(["series_aws_url,crdc_series_uuid,n", *rows]))

    assert urls([found[place] for place in (0, 1, 3, 5)]) == [
        *(f"{OPEN}/{A}", f"{OPEN}/{B}", f"{OPEN}-cr/{C}", f"{OPEN}/{INSTANCE}"),
    ]
    assert [entry.line for entry in found if isinstance(entry, RejectedLine)] == [4, 6]
    assert isinstance(found[6], DuplicateLine)


def test_rows_without_a_series_are_rejected_one_by_one(tmp_path: Path) -> None:
    found = entries(tmp_path, f"crdc_series_uuid,age\n,1\n{A},2\nnonsense,3\n")

    assert urls(found[1:2]) == [f"{OPEN}/{A}"]
    assert reasons(found)[0] == "manifest.txt:2: the columns that name the series are empty"
    assert reasons(found)[1].startswith("manifest.txt:4: 'nonsense' names no series")


@pytest.mark.parametrize(
    "row",
    [
        f"CT,1.2.3,{OPEN}/{A}/*",
        f"{B},{OPEN}/{A}/*,{C}",
        f"{B}, {A}",
        f"{B}\t{C}\t{A}",
        f'"a, b";{A}',
        f"gs://public-datasets-idc/{A}/*,{OPEN}/{A}/*",
    ],
)
def test_rows_without_header_prefer_a_url_then_the_last_uuid(tmp_path: Path, row: str) -> None:
    assert urls(entries(tmp_path, f"{row}\n")) == [f"{OPEN}/{A}"]


def test_the_index_tells_series_from_studies(tmp_path: Path, indexed: Lookup) -> None:
    assert urls(entries(tmp_path, f"{CT},{A}\n", indexed)) == [f"{OPEN}/{CT}"]


# Form 10: Parquet


def test_parquet_carries_its_other_columns(tmp_path: Path) -> None:
    table = pa.table({"series_aws_url": [f"{OPEN}/{A}/*", None], "crdc_series_uuid": [None, B], "size": [1.5, None]})
    pq.write_table(table, tmp_path / "cohort")

    found = list(stream(str(tmp_path / "cohort")))

    assert found == [
        SeriesRef(root=OPEN, series_uuid=A, columns={"size": 1.5}, line=1),
        SeriesRef(root=OPEN, series_uuid=B, columns={"size": None}, line=2),
    ]


def test_parquet_without_a_series_column_is_one_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"age": [1]}), tmp_path / "cohort.parquet")

    with pytest.raises(ManifestError, match=r"cohort\.parquet: none of its columns names a series.*crdc_series_uuid"):
        list(stream(str(tmp_path / "cohort.parquet")))


def test_damaged_parquet_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt: not readable as Parquet"):
        entries(tmp_path, b"PAR1" + bytes(100))


def test_parquet_with_text_that_is_no_utf8_is_one_error(tmp_path: Path) -> None:
    note = pa.Array.from_buffers(pa.string(), 1, pa.array([b"caf\xe9"]).buffers())
    pq.write_table(pa.table({"crdc_series_uuid": [A], "note": note}), tmp_path / "cohort.parquet")

    with pytest.raises(ManifestError, match=r"cohort\.parquet: not readable as Parquet: .*utf-8"):
        list(stream(str(tmp_path / "cohort.parquet")))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"\tcrdc_series_uuid\tage\n0\t{A}\t30\n1\t{B}\t\n", [(A, "30"), (B, None)]),  # as pandas writes its index
        (f"name\tcrdc_series_uuid\tage\n\t{A}\t30\n\t\t\n  \t{B}\t  \n", [(A, "30"), (B, None)]),
        (f"crdc_series_uuid\tage\n\t{A}\n{B}\t4\n", [(B, "4")]),
    ],
)
def test_empty_cells_at_the_ends_of_rows_are_cells(
    tmp_path: Path, text: str, found: list[tuple[str, str | None]]
) -> None:
    refs = list(read_manifest(write_manifest(tmp_path, text), root=MINE))

    assert [(ref.series_uuid, ref.columns["age"]) for ref in refs] == found


def test_tabs_around_names_are_blanks(tmp_path: Path) -> None:
    text = f"\t{A}\t\n\t# a comment\n \t s3://mine/{B}/ \t\n\t\n"

    assert [ref.series_uuid for ref in read_manifest(write_manifest(tmp_path, text), root=MINE)] == [A, B]


@pytest.mark.parametrize("blank", [",,", " , , ", '"","",""'])
def test_rows_without_any_cell_are_blank_lines(tmp_path: Path, blank: str) -> None:
    text = f"crdc_series_uuid,arm,site\n{A},a,b\n{blank}\n{blank}\n"

    assert urls(entries(tmp_path, text, root=MINE)) == [f"{MINE}/{A}"]


def test_a_row_that_begins_as_comments_do_is_one_where_it_names_no_series(tmp_path: Path) -> None:
    rows = f"crdc_series_uuid,note\n# made by hand, 2024\n{A},#1\n#{B},\n\n#,{C}\n"
    numbered = f"note,crdc_series_uuid\n#1,{A}\n#2 of 2,\n"

    assert urls(entries(tmp_path, rows, root=MINE)) == [f"{MINE}/{A}"]
    assert urls(entries(tmp_path, numbered, root=MINE)) == [f"{MINE}/{A}"]
