"""Questions to the IDC index."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from idc_tables import CT, CT_UID, MR, MR_UID, OLD_CT, OLDER_CT, RAW, REMOVED, REMOVED_UID, SEG, SR, write_index

from dsp_batch.errors import ManifestError
from dsp_batch.idc.index import (
    IdcIndex,
    StoredSeries,
    describe_series,
    find_series,
    find_series_uids,
    require_idc_index,
)
from dsp_batch.idc.selection import SeriesSelection, read_values, select_series


@pytest.fixture(params=[True, False], ids=["large_string", "string"])
def index(tmp_path: Path, request: pytest.FixtureRequest) -> IdcIndex:
    return write_index(tmp_path, large=request.param)


def chosen(index: IdcIndex, selection: SeriesSelection) -> list[str]:
    batches = select_series(index, selection, ["crdc_series_uuid", "aws_bucket"])
    return [uuid for batch in batches for uuid in batch.column(0).to_pylist()]


def test_a_series_is_found_in_its_own_bucket(index: IdcIndex) -> None:
    assert find_series(index, [MR, CT]) == [
        StoredSeries(MR, "s3://idc-open-data-cr", superseded=False),
        StoredSeries(CT, "s3://idc-open-data", superseded=False),
    ]


def test_uuids_that_end_in_a_zero_byte_are_found(index: IdcIndex) -> None:
    assert SEG.endswith("00")
    assert find_series(index, [SEG])[0] is not None


def test_unknown_series_are_not_found_whatever_stands_around_them(index: IdcIndex) -> None:
    neighbors = [f"{CT[:-1]}{digit}" for digit in "0123456789abcdef" if digit != CT[-1]]

    assert find_series(index, ["0" * 8 + CT[8:], *neighbors, "f" * 8 + CT[8:]]) == [None] * 17


def test_superseded_series_are_found_where_they_were(index: IdcIndex) -> None:
    assert find_series(index, [OLD_CT]) == [StoredSeries(OLD_CT, "s3://idc-open-data", superseded=True)]


def test_a_series_instance_uid_means_its_current_version(index: IdcIndex) -> None:
    found = find_series_uids(index, [MR_UID, "1.2.3", CT_UID])

    assert found == [
        StoredSeries(MR, "s3://idc-open-data-cr", superseded=False),
        None,
        StoredSeries(CT, "s3://idc-open-data", superseded=False),
    ]


def test_the_uid_of_a_removed_series_means_its_last_version(index: IdcIndex) -> None:
    assert find_series_uids(index, [REMOVED_UID]) == [StoredSeries(REMOVED, "s3://idc-open-data-cr", superseded=True)]


def test_uids_that_differ_in_one_character_are_told_apart(index: IdcIndex) -> None:
    similar = [CT_UID[:-1] + digit for digit in "023456789"] + [f"{CT_UID}0"[:64], CT_UID[:-1], f"2{CT_UID[1:]}"]

    assert [found for uid, found in zip(similar, find_series_uids(index, similar), strict=True) if uid != CT_UID] == [
        None
    ] * sum(uid != CT_UID for uid in similar)


def test_descriptions_carry_what_a_plan_needs(index: IdcIndex) -> None:
    described = describe_series(index, [MR, OLDER_CT, str(uuid.uuid4())])

    assert set(described) == {MR, OLDER_CT}
    mr = described[MR]
    assert (mr.root, mr.modality, mr.sop_class_uid, mr.transfer_syntax_uid, mr.n_instances, mr.size_mb) == (
        "s3://idc-open-data-cr",
        "MR",
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.1.2",
        2,
        1.0,
    )
    assert (mr.series_instance_uid, mr.study_instance_uid) == (MR_UID, "1.1")
    assert described[OLDER_CT].superseded
    assert described[OLDER_CT].sop_class_uid is None


def test_analysis_results_are_left_out_unless_asked_for(index: IdcIndex) -> None:
    assert chosen(index, SeriesSelection()) == [CT, MR, RAW]
    assert chosen(index, SeriesSelection(analysis_results="only")) == [SEG, SR]
    assert chosen(index, SeriesSelection(analysis_results="include")) == [CT, MR, SEG, SR, RAW]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (SeriesSelection(collection_ids=("4D-Lung",)), [CT, MR]),
        (SeriesSelection(collection_ids=("4d_lung", "nlst"), modalities=("ct",)), [CT, RAW]),
        (SeriesSelection(patient_ids=("p3",)), [RAW]),
        (SeriesSelection(patient_ids=("P3",)), []),
        (SeriesSelection(study_instance_uids=("1.1",), modalities=("MR",)), [MR]),
        (SeriesSelection(series_instance_uids=(CT_UID, MR_UID)), [CT, MR]),
        (SeriesSelection(limit=2), [CT, MR]),
        (SeriesSelection(limit=0), []),
    ],
)
def test_selections_narrow(index: IdcIndex, selection: SeriesSelection, expected: list[str]) -> None:
    assert chosen(index, selection) == expected


def test_values_of_a_column_are_listed_once(index: IdcIndex) -> None:
    assert read_values(index, "collection_id") == ["4d_lung", "nlst"]


def test_many_series_keep_their_own_buckets(tmp_path: Path) -> None:
    uuids = [str(uuid.UUID(int=number * 2**96 + number)) for number in range(40_000)]
    buckets = [f"bucket-{number % 7}" for number in range(40_000)]
    uids = [f"1.2.840.{number}" for number in range(40_000)]
    table = pa.table({"crdc_series_uuid": uuids, "aws_bucket": buckets, "SeriesInstanceUID": uids})
    pq.write_table(table, tmp_path / "many.parquet", row_group_size=17_000)
    index = IdcIndex(path=tmp_path / "many.parquet")

    assert [each.root for each in find_series(index, uuids) if each] == [f"s3://{name}" for name in buckets]
    assert [found.series_uuid for found in find_series_uids(index, uids) if found] == uuids


def test_an_index_without_rows_knows_nothing(tmp_path: Path) -> None:
    columns = {"crdc_series_uuid": pa.array([], pa.string()), "aws_bucket": pa.array([], pa.string())}
    pq.write_table(pa.table({**columns, "SeriesInstanceUID": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    index = IdcIndex(path=tmp_path / "empty.parquet")

    assert find_series(index, [CT]) == [None]
    assert find_series_uids(index, [CT_UID]) == [None]


def test_a_damaged_index_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "idc.parquet").write_bytes(b"PAR1 and nothing behind it")

    with pytest.raises(ManifestError, match=r"idc\.parquet cannot be read.*pip install 'dsp-batch\[idc\]'"):
        find_series(IdcIndex(path=tmp_path / "idc.parquet"), [CT])


def test_a_missing_index_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsp_batch.idc.index.open_idc_index", lambda: None)

    with pytest.raises(ManifestError, match=r"pip install 'dsp-batch\[idc\]'"):
        require_idc_index()


@pytest.mark.parametrize("column", ["aws_bucket", "crdc_series_uuid", "SeriesInstanceUID"])
def test_an_index_that_cannot_say_where_series_are_is_one_error(index: IdcIndex, column: str) -> None:
    table = pq.read_table(index.path).drop_columns([column])
    pq.write_table(table, index.path.with_name("short.parquet"))

    with pytest.raises(ManifestError, match=f"short.parquet has no column {column}: pip install"):
        find_series(IdcIndex(path=index.path.with_name("short.parquet")), [CT])


def test_an_index_with_something_else_than_uuids_is_one_error(tmp_path: Path) -> None:
    table = pa.table({"crdc_series_uuid": ["no UUID"], "aws_bucket": ["b"], "SeriesInstanceUID": ["1.2"]})
    pq.write_table(table, tmp_path / "strange.parquet")

    with pytest.raises(ManifestError, match=r"strange\.parquet cannot be read \(a UUID has 36 characters\)"):
        find_series(IdcIndex(path=tmp_path / "strange.parquet"), [CT])


@pytest.mark.parametrize("column", ["aws_bucket", "crdc_series_uuid", "analysis_result_id", "Modality"])
def test_an_index_without_a_column_that_is_asked_for_is_one_error(index: IdcIndex, column: str) -> None:
    table = pq.read_table(index.path).drop_columns([column])
    pq.write_table(table, index.path.with_name("short.parquet"))
    short = IdcIndex(path=index.path.with_name("short.parquet"))

    with pytest.raises(ManifestError, match=f"short.parquet has no column {column}: pip install"):
        chosen(short, SeriesSelection(modalities=("CT",)))


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("SOPClassUID", "sop_class_uid"),
        ("TransferSyntaxUID", "transfer_syntax_uid"),
        ("instanceCount", "n_instances"),
        ("series_size_MB", "size_mb"),
    ],
)
def test_an_index_without_a_column_that_may_be_missing_tells_the_rest(index: IdcIndex, column: str, field: str) -> None:
    table = pq.read_table(index.path).drop_columns([column])
    pq.write_table(table, index.path.with_name("short.parquet"))
    short = IdcIndex(path=index.path.with_name("short.parquet"))

    known = describe_series(short, [CT])[CT]

    assert (known.root, known.series_instance_uid) == ("s3://idc-open-data", CT_UID)
    assert getattr(known, field) is None
    assert chosen(short, SeriesSelection(modalities=("MR",))) == [MR]
