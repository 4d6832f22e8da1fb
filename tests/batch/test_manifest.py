"""Manifests in all the forms that users hold."""

from __future__ import annotations

import gzip
import io
import json
import logging
import random
import sys
import tracemalloc
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from idc_tables import CT, CT_UID, MR, MR_UID, OLD_CT, REMOVED_UID, write_index

from dsp_batch.batch.manifest import (
    DuplicateLine,
    Entry,
    RejectedLine,
    digest_series,
    hold_manifest,
    list_lines,
    read_entries,
    read_manifest,
)
from dsp_batch.batch.manifest_keys import SeenKeys, name_keys
from dsp_batch.batch.manifest_lookup import Lookup
from dsp_batch.errors import ManifestError
from dsp_batch.model import SeriesRef
from dsp_batch.storage.store import Store

A = "28621ba9-1aca-4aab-a2a1-f6d2c3e2ab19"
B = "38902e14-b11f-4548-910e-771ee757dc82"
C = "fb0a1f2c-0000-4000-8000-000000000001"
INSTANCE = "6b2b0f0c-2a3e-4d5c-9a93-0c4b7e7f6a51"
GOOGLE = "https://storage.googleapis.com"
AWS_COMMENT = "# s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com run manifest.s5cmd\n"
GOOGLE_COMMENT = f"# s5cmd --no-sign-request --endpoint-url {GOOGLE} run manifest.s5cmd\n"
OPEN = "s3://idc-open-data"
MINE = "s3://mine"

NO_INDEX = Lookup(index=None, store_of=lambda root, endpoint_url: Store(root, endpoint_url=endpoint_url))


def entries(tmp_path: Path, content: str | bytes, lookup: Lookup = NO_INDEX, **options: Any) -> list[Entry]:
    """What each line of a manifest with this content comes to."""
    path = tmp_path / "manifest.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    options.setdefault("label", "manifest.txt")
    return list(read_entries(str(path), lookup=lookup, **options))


def urls(found: list[Entry]) -> list[str]:
    """Where the series are; anything else fails the test."""
    assert not [entry for entry in found if not isinstance(entry, SeriesRef)]
    return [entry.url for entry in found if isinstance(entry, SeriesRef)]


def reasons(found: list[Entry]) -> list[str]:
    return [str(entry) for entry in found if isinstance(entry, RejectedLine)]


@pytest.fixture
def indexed(tmp_path: Path) -> Lookup:
    folder = tmp_path / "index"
    folder.mkdir()
    return Lookup(index=write_index(folder), store_of=NO_INDEX.store_of)


# Form 1: one series a line


def test_plain_lines_name_series_below_the_root(tmp_path: Path) -> None:
    content = f"# my series\n\n{A}\n  {B.upper()}  \n{C.replace('-', '')}\n"

    found = entries(tmp_path, content, root="s3://mine/dicom/")

    assert urls(found) == [f"s3://mine/dicom/{name}" for name in (A, B, C)]
    assert [entry.line for entry in found] == [3, 4, 5]


def test_the_default_root_is_idc(tmp_path: Path) -> None:
    assert urls(entries(tmp_path, A)) == [f"{OPEN}/{A}"]


def test_paths_and_urls_may_be_mixed(tmp_path: Path) -> None:
    content = f"/d/{A}\nhttps://host/x/{B}/\n./here/some_folder\n"

    assert urls(entries(tmp_path, content)) == [f"/d/{A}", f"https://host/x/{B}", str(Path.cwd() / "here/some_folder")]


def test_a_prefix_must_fit_one_series(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in (A, B, f"{B[:8]}-other"):
        (root / name).mkdir(parents=True)

    found = entries(tmp_path, f"{A[:8]}*\n{B[:8]}*\nffff*\n", root=str(root))

    assert isinstance(found[0], SeriesRef)
    assert found[0].series_uuid == A
    assert reasons(found) == [
        f"manifest.txt:2: 2 series below {root} begin with 38902e14: write more digits",
        f"manifest.txt:3: no series below {root} begins with ffff",
    ]


# Forms 2 to 6: what the portal writes


@pytest.mark.parametrize(
    "destination",
    [" .", " ./", "  ./data/", ' "/data/a b/x"', " '/data/a, b'", "", "\t."],
)
@pytest.mark.parametrize("verb", ["cp", "sync", "cp  --show-progress", "s5cmd --no-sign-request cp"])
def test_copy_commands_name_their_source(tmp_path: Path, verb: str, destination: str) -> None:
    found = entries(tmp_path, f"{AWS_COMMENT}{verb} s3://idc-open-data-two/{A}/*{destination}\n")

    assert urls(found) == [f"s3://idc-open-data-two/{A}"]
    assert isinstance(found[0], SeriesRef)
    assert found[0].endpoint_url is None


@pytest.mark.parametrize("title", ["study_manifest_cp_command", "f0_", '"f0_"'])
def test_a_column_name_on_the_first_line_is_no_series(tmp_path: Path, title: str) -> None:
    assert urls(entries(tmp_path, f"{title}\ncp {OPEN}/{A}/* .\n")) == [f"{OPEN}/{A}"]


def test_a_mistake_on_the_first_line_is_not_taken_for_a_column_name(tmp_path: Path) -> None:
    found = entries(tmp_path, f"my_series\n{A}\n")

    assert reasons(found)[0].startswith("manifest.txt:1: 'my_series' names no series")
    assert len(found) == 2


GOOGLE_LINES = "".join(
    f"cp s3://{bucket}/{name}/* .\n"
    for bucket, name in (("public-datasets-idc", A), ("idc-open-idc1", B), ("idc-open-cr", C))
)


def test_google_buckets_stay_when_their_endpoint_is_named(tmp_path: Path) -> None:
    found = entries(tmp_path, GOOGLE_COMMENT + GOOGLE_LINES)

    assert urls(found) == [f"s3://public-datasets-idc/{A}", f"s3://idc-open-idc1/{B}", f"s3://idc-open-cr/{C}"]
    assert {entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)} == {GOOGLE}


@pytest.mark.parametrize("comment", ["", AWS_COMMENT])
def test_google_buckets_become_their_twins_on_aws(tmp_path: Path, comment: str) -> None:
    found = entries(tmp_path, comment + GOOGLE_LINES)

    assert urls(found) == [f"{OPEN}/{A}", f"{OPEN}-two/{B}", f"{OPEN}-cr/{C}"]
    assert {entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)} == {None}


def test_the_endpoint_of_a_command_counts_for_its_line(tmp_path: Path) -> None:
    content = f"s5cmd --endpoint-url {GOOGLE} cp s3://idc-open-cr/{A}/* .\ncp s3://idc-open-cr/{B}/* .\n"

    found = entries(tmp_path, content)

    assert urls(found) == [f"s3://idc-open-cr/{A}", f"{OPEN}-cr/{B}"]
    assert [entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)] == [GOOGLE, None]


@pytest.mark.parametrize("origin", ["argument", "environment"])
def test_an_endpoint_given_otherwise_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    if origin == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
    options = {"endpoint_url": "http://localhost:9000"} if origin == "argument" else {}

    found = entries(tmp_path, f"{GOOGLE_COMMENT}cp s3://idc-open-cr/{A}/* .\n", **options)

    assert found == [SeriesRef(root="s3://idc-open-cr", series_uuid=A, line=2)]


@pytest.mark.parametrize("url", [f"{OPEN}/{A}/*", f"{OPEN}/{A}", f"{OPEN}/{A}/", f"gs://public-datasets-idc/{A}/*"])
def test_bare_urls_are_enough(tmp_path: Path, url: str) -> None:
    assert urls(entries(tmp_path, url)) == [f"{OPEN}/{A}"]


def test_instances_give_their_series_once(tmp_path: Path) -> None:
    lines = "".join(f"cp {OPEN}/{A}/{uuid.uuid4()}.dcm ./d/\n" for _ in range(3))

    found = entries(tmp_path, lines)

    assert urls(found[:1]) == [f"{OPEN}/{A}"]
    assert found[1:] == [DuplicateLine(line=2, series_uuid=A), DuplicateLine(line=3, series_uuid=A)]


def test_flat_urls_of_the_first_version_name_no_series(tmp_path: Path) -> None:
    found = entries(tmp_path, f"cp {OPEN}/{INSTANCE}.dcm .\n{A}\n")

    assert "manifest.txt:1:" in reasons(found)[0]
    assert "directly below a bucket" in reasons(found)[0]


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


# Form 9: JSON


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
    with pytest.raises(ManifestError, match=r"manifest\.txt: .*JSON"):
        entries(tmp_path, content)


# Form 10: Parquet


def test_parquet_carries_its_other_columns(tmp_path: Path) -> None:
    table = pa.table({"series_aws_url": [f"{OPEN}/{A}/*", None], "crdc_series_uuid": [None, B], "size": [1.5, None]})
    pq.write_table(table, tmp_path / "cohort")

    found = list(read_entries(str(tmp_path / "cohort"), lookup=NO_INDEX))

    assert found == [
        SeriesRef(root=OPEN, series_uuid=A, columns={"size": 1.5}, line=1),
        SeriesRef(root=OPEN, series_uuid=B, columns={"size": None}, line=2),
    ]


def test_parquet_without_a_series_column_is_one_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"age": [1]}), tmp_path / "cohort.parquet")

    with pytest.raises(ManifestError, match=r"cohort\.parquet: none of its columns names a series.*crdc_series_uuid"):
        list(read_entries(str(tmp_path / "cohort.parquet"), lookup=NO_INDEX))


def test_damaged_parquet_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt: not readable as Parquet"):
        entries(tmp_path, b"PAR1" + bytes(100))


# Form 11: folders


def test_a_folder_gives_every_series_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (B, A, "some folder", ".hidden"):
        (tmp_path / "series" / name).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    found = list(read_entries("../series/", lookup=NO_INDEX))

    assert urls(found) == [f"{tmp_path}/series/{name}" for name in (A, B, "some folder")]


def test_a_folder_without_slash_is_told_to_have_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=f"{tmp_path} is a folder: write {tmp_path}/"):
        list(read_entries(str(tmp_path), lookup=NO_INDEX))


def test_an_empty_folder_names_no_series(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="names no series"):
        list(read_entries(f"{tmp_path}/", lookup=NO_INDEX))


# Where series are


def test_the_index_gives_the_bucket_of_a_uuid(tmp_path: Path, indexed: Lookup) -> None:
    found = entries(tmp_path, f"{MR}\n{A}\n{MR_UID}\n{CT_UID}\n", indexed)

    assert urls([found[0], found[1], found[3]]) == [f"{OPEN}-cr/{MR}", f"{OPEN}/{A}", f"{OPEN}/{CT}"]
    assert found[2] == DuplicateLine(line=3, series_uuid=MR)


def test_superseded_series_are_read_with_a_note(
    tmp_path: Path, indexed: Lookup, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = entries(tmp_path, f"{OLD_CT}\n{REMOVED_UID}\n", indexed)

    assert urls(found)[0] == f"{OPEN}/{OLD_CT}"
    assert "2 series are superseded" in caplog.text


def test_a_root_of_ones_own_is_not_second_guessed(tmp_path: Path, indexed: Lookup) -> None:
    assert urls(entries(tmp_path, MR, indexed, root="s3://mirror")) == [f"s3://mirror/{MR}"]


def test_a_url_is_not_second_guessed(tmp_path: Path, indexed: Lookup) -> None:
    assert urls(entries(tmp_path, f"{OPEN}/{MR}/*", indexed)) == [f"{OPEN}/{MR}"]


def test_a_series_instance_uid_needs_the_index(tmp_path: Path) -> None:
    found = entries(tmp_path, f"SeriesInstanceUID\n{CT_UID}\n{A}\n")

    assert reasons(found) == [
        f"manifest.txt:2: SeriesInstanceUID {CT_UID} can only be found in the IDC index: pip install 'dsp-batch[idc]'"
    ]


def test_an_unknown_series_instance_uid_is_rejected(tmp_path: Path, indexed: Lookup) -> None:
    found = entries(tmp_path, f"1.2.3.999\n{A}\n", indexed)

    assert reasons(found) == [
        f"manifest.txt:1: SeriesInstanceUID 1.2.3.999 is neither below {OPEN} nor in the IDC index"
    ]


def test_a_private_root_may_have_series_instance_uids_as_folders(tmp_path: Path, indexed: Lookup) -> None:
    root = tmp_path / "root"
    (root / CT_UID).mkdir(parents=True)

    assert urls(entries(tmp_path, f"{CT_UID}\n{MR_UID}\n", indexed, root=str(root))) == [
        f"{root}/{CT_UID}",
        f"{OPEN}-cr/{MR}",
    ]


# Duplicates


def test_duplicates_are_dropped_in_every_spelling_and_order_is_kept(tmp_path: Path) -> None:
    content = f"{B}\n{A}\n{B.upper()}\ncp s3://idc-open-data-cr/{B}/* .\n/mirror/{A}/\n{C}\n"

    found = entries(tmp_path, content)

    assert [entry.series_uuid for entry in found if isinstance(entry, SeriesRef)] == [B, A, C]
    assert [entry.line for entry in found if isinstance(entry, DuplicateLine)] == [3, 4, 5]


def test_folders_of_one_name_in_two_places_are_two_series(tmp_path: Path) -> None:
    found = entries(tmp_path, "/one/head/\n/two/head/\n/one/head/\n")

    assert [type(entry) for entry in found] == [SeriesRef, RejectedLine, DuplicateLine]
    assert "manifest.txt:2: a series folder 'head' came before from another place" in reasons(found)[0]


def test_keys_are_remembered_over_many_batches() -> None:
    source = random.Random(7)
    names = [str(uuid.UUID(int=source.getrandbits(128))) for _ in range(20_000)]
    shown = [source.choice(names) for _ in range(60_000)]
    seen, expected = SeenKeys(), set[str]()

    for start in range(0, len(shown), 700):
        batch = shown[start : start + 700]
        is_new = seen.add(name_keys(batch).keys).tolist()
        for name, new in zip(batch, is_new, strict=True):
            assert new == (name not in expected)
            expected.add(name)


# Text as it comes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_do_not_matter(tmp_path: Path, encoding: str, end: str) -> None:
    lines = ["crdc_series_uuid,note", f"{A},größer", f"{B},x"]

    found = entries(tmp_path, end.join([*lines, ""]).encode(encoding))

    assert urls(found) == [f"{OPEN}/{A}", f"{OPEN}/{B}"]
    assert isinstance(found[0], SeriesRef)
    assert found[0].columns == {"note": "größer"}


@pytest.mark.parametrize(
    "content",
    [f"{A}\n{B}\x00\n".encode(), f"{A}\n".encode("utf-16-le"), f"{A}\n".encode("utf-32"), bytes(1000)],
)
def test_nul_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt:\d+: NUL bytes"):
        entries(tmp_path, content)


def test_packed_manifests_are_told_to_be_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"packed \(gzip\): unpack"):
        entries(tmp_path, gzip.compress(A.encode()))


@pytest.mark.parametrize("content", ["<html><body>403</body></html>\n", '\n<?xml version="1.0"?>\n<Error/>\n'])
def test_pages_are_told_from_manifests(tmp_path: Path, content: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt is a page of HTML or XML"):
        entries(tmp_path, content)


def test_text_of_another_encoding_spoils_no_series(tmp_path: Path) -> None:
    found = entries(tmp_path, f"crdc_series_uuid,note\n{A},größer\n".encode("latin-1"))

    assert urls(found) == [f"{OPEN}/{A}"]


def test_a_line_without_end_is_rejected_and_the_next_is_read(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{'x' * 3_000_000}\n{A}\n")

    assert [entry.line for entry in found if isinstance(entry, SeriesRef)] == [2]
    assert reasons(found) == ["manifest.txt:1: longer than 1048576 characters"]
    assert isinstance(found[0], RejectedLine)
    assert len(found[0].text) == 500


def test_lines_that_are_not_understood_do_not_stop_the_others(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{A}\nwhat is this\n{B}\n")

    assert Counter(type(entry) for entry in found) == {SeriesRef: 2, RejectedLine: 1}
    assert reasons(found)[0].startswith("manifest.txt:2: 'what is this' names no series: give a series UUID")


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "crdc_series_uuid,age\n", "[]"])
def test_a_manifest_of_nothing_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt names no series"):
        entries(tmp_path, content)


def test_a_manifest_of_garbage_is_an_error_that_shows_the_first_line(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no line names a series; manifest\.txt:1: 'total garbage'"):
        entries(tmp_path, "total garbage\nmore of it\n")


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere.txt: no such manifest"):
        list(read_entries(str(tmp_path / "nowhere.txt"), lookup=NO_INDEX))


# Reading and writing


def test_the_public_reader_yields_series_and_logs_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "m.txt").write_text("".join(f"bad line {number}\n" for number in range(30)) + f"{A}\n{A}\n")

    with caplog.at_level(logging.WARNING):
        found = list(read_manifest(str(tmp_path / "m.txt"), root="s3://mine"))

    assert found == [SeriesRef(root="s3://mine", series_uuid=A, line=31)]
    assert len(caplog.records) == 21
    assert "10 more lines name no series" in caplog.text


def test_stdin_is_held_for_a_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{A}\n".encode())))

    with hold_manifest("-") as held:
        first, second = (urls(list(read_entries(held, lookup=NO_INDEX, label="stdin"))) for _ in range(2))

    assert first == second == [f"{OPEN}/{A}"]


def test_parquet_comes_through_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    pq.write_table(pa.table({"crdc_series_uuid": [A]}), data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.getvalue())))

    assert urls(list(read_entries("-", lookup=NO_INDEX))) == [f"{OPEN}/{A}"]


def test_written_manifests_read_back(tmp_path: Path) -> None:
    refs = [
        SeriesRef(root=OPEN, series_uuid=A),
        SeriesRef(root="s3://idc-open-cr", series_uuid=B, endpoint_url=GOOGLE),
        SeriesRef(root="s3://idc-open-idc1", series_uuid=C, endpoint_url=GOOGLE),
        SeriesRef(root="s3://mine/a b", series_uuid="1.2.3"),
        SeriesRef(root="/d/a, b", series_uuid="some; folder"),
        SeriesRef(root="https://host/x", series_uuid="1.2.3.4"),
    ]

    found = entries(tmp_path, "".join(f"{line}\n" for line in list_lines(refs)))

    assert urls(found) == [ref.url for ref in refs]
    assert [entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)] == [ref.endpoint_url for ref in refs]


def test_the_digest_is_of_the_series_alone(tmp_path: Path) -> None:
    plain = digest_series(read_manifest(write(tmp_path, f"{A}\n{B}\n{C}\n"), root=MINE))
    shuffled = f"# comment\ncrdc_series_uuid,age\n{C},1\n{A},2\n{A},2\n{B},3\n"

    assert digest_series(read_manifest(write(tmp_path, shuffled), root=MINE)) == plain
    assert len(plain) == 32


@pytest.mark.parametrize("other", [f"{A}\n{B}\n", f"{A}\n{B}\n{C[:-1]}2\n", f"{A}\n{B}\n/d/{C[:-1]}/\n"])
def test_other_series_have_another_digest(tmp_path: Path, other: str) -> None:
    digest = digest_series(read_manifest(write(tmp_path, f"{A}\n{B}\n{C}\n"), root=MINE))

    assert digest_series(read_manifest(write(tmp_path, other), root=MINE)) != digest


def write(tmp_path: Path, content: str) -> str:
    (tmp_path / "m.txt").write_text(content)
    return str(tmp_path / "m.txt")


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
    refs = list(read_manifest(write(tmp_path, text), root=MINE))

    assert [(ref.series_uuid, ref.columns["age"]) for ref in refs] == found


def test_tabs_around_names_are_blanks(tmp_path: Path) -> None:
    text = f"\t{A}\t\n\t# a comment\n \t s3://mine/{B}/ \t\n\t\n"

    assert [ref.series_uuid for ref in read_manifest(write(tmp_path, text), root=MINE)] == [A, B]


def test_long_manifests_stream(tmp_path: Path) -> None:
    source = random.Random(5)
    with (tmp_path / "long.txt").open("w") as manifest:
        manifest.writelines(f"cp {OPEN}/{uuid.UUID(int=source.getrandbits(128))}/* .\n" for _ in range(60_000))

    tracemalloc.start()
    try:
        count = sum(1 for _ in read_entries(str(tmp_path / "long.txt"), lookup=NO_INDEX))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 60_000
    assert peak < 8e6


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
        found = read_entries(str(tmp_path / "long.json"), lookup=NO_INDEX)
        pairs = ((each.series_uuid, each.columns["size"]) for each in found if isinstance(each, SeriesRef))
        same = [
            (item["crdc_series_uuid"], item["size"]) == pair
            for item, pair in zip(map(json.loads, items), pairs, strict=True)
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (len(same), all(same)) == (8_000, True)
    assert peak < 6e6


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


def test_binary_files_are_one_error(tmp_path: Path) -> None:
    content = random.Random(7).randbytes(100_000)

    with pytest.raises(ManifestError) as caught:
        entries(tmp_path, b"\x89PNG\r\n\x1a\n" + content)

    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 1_000


def test_lines_longer_than_any_name_are_rejected_one_by_one(tmp_path: Path) -> None:
    found = entries(tmp_path, "".join(f"{'long ' * 40}{number}\n" for number in range(50)) + f"{A}\n")

    assert [entry.line for entry in found if isinstance(entry, RejectedLine)] == list(range(1, 51))
    assert [entry.line for entry in found if isinstance(entry, SeriesRef)] == [51]


def test_duplicates_alone_are_counted(tmp_path: Path) -> None:
    found = entries(tmp_path, f"cp {OPEN}/{A}/* .\n" * 10_000)

    assert Counter(type(entry) for entry in found) == {SeriesRef: 1, DuplicateLine: 9_999}
