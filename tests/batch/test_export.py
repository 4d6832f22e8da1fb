"""The header database of a cache: its rows, its types, and the memory that it takes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.batch.export import export_headers
from dsp_batch.cache import Cache, open_cache, write_index
from dsp_batch.errors import OptionsError, SinkError
from dsp_batch.fetch import fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.index.tables import header_file
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import IndexOptions
from dsp_batch.phantom.series import build_ct, build_mr, build_report, write_collection
from dsp_batch.storage.store import Store

WHOLE = IndexOptions()


def index_of(root: Path, uuid: str, datasets: list[Dataset], options: IndexOptions = WHOLE) -> SeriesIndex:
    folder = root / uuid
    folder.mkdir(parents=True)
    for number, dataset in enumerate(datasets):
        (folder / f"{number:03}.dcm").write_bytes(write_dataset(dataset))
    return build_index(fetch_headers(SeriesRef(root=str(root), series_uuid=uuid), Store(str(root)), options))


def make_instance(number: int, **values: object) -> Dataset:
    return add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number + 1, Modality="MR", **values))


def uuid_of(number: int) -> str:
    return str(UUID(int=number))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(tmp_path / "cache")


def export(cache: Cache, tmp_path: Path, **options: object) -> pa.Table:
    export_headers(cache, tmp_path / "headers.parquet", **options)  # type: ignore[arg-type]
    return pq.read_table(tmp_path / "headers.parquet")


def test_there_is_a_row_for_each_instance_with_what_all_share_filled_in(cache: Cache, tmp_path: Path) -> None:
    root = tmp_path / "series"
    for series in (build_ct(count=3, size=32), build_mr(count=2, rows=32, columns=32), build_report()):
        write_collection(root, [series])
        ref = SeriesRef(root=str(root), series_uuid=series.series_uuid)
        write_index(build_index(fetch_headers(ref, Store(str(root)), WHOLE)), cache)

    headers = export(cache, tmp_path)

    counts = duckdb.sql("SELECT Modality, count(*) FROM headers GROUP BY 1 ORDER BY 1").fetchall()
    assert counts == [("CT", 3), ("MR", 2), ("SR", 1)]
    ct = headers.filter(pc.equal(headers["Modality"], "CT"))
    assert ct["Index"].to_pylist() == [0, 1, 2]
    assert ct["KVP"].to_pylist() == [120.0] * 3
    assert ct["PixelSpacing"].to_pylist()[0] == pytest.approx(ct["PixelSpacing"].to_pylist()[2])
    assert ct["ImagePositionPatient"].to_pylist()[0] != ct["ImagePositionPatient"].to_pylist()[1]


def test_a_column_has_one_type_whether_it_varies_is_shared_or_is_damaged(cache: Cache, tmp_path: Path) -> None:
    root = tmp_path / "series"
    shared = [make_instance(number, EchoTime="5", ImageType=["A", "B"]) for number in range(2)]
    varying = [make_instance(number, EchoTime=str(number), ImageType=["A", str(number)]) for number in range(2)]
    single = [make_instance(0, EchoTime="7", ImageType="A")]
    odd = [make_instance(number) for number in range(2)]
    for number, dataset in enumerate(odd):
        dataset.add_new(0x00180081, "LO", f"long {number}")
    for number, datasets in enumerate((shared, varying, single, odd)):
        write_index(index_of(root, uuid_of(number), datasets), cache)

    table = export(cache, tmp_path)

    rows = table.select(["SeriesUID", "EchoTime", "ImageType"]).to_pylist()
    assert [row["EchoTime"] for row in rows] == [5, 5, 0, 1, 7, None, None]
    assert [row["ImageType"] for row in rows[:5]] == [["A", "B"], ["A", "B"], ["A", "0"], ["A", "1"], ["A"]]


def test_further_keywords_and_private_elements_are_columns_too(cache: Cache, tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue = "C1"
    dataset = make_instance(0, PatientWeight="71.5", ProcedureCodeSequence=Sequence([code]))
    dataset.add_new(0x00090010, "LO", "MINE")
    dataset.add_new(0x00091001, "LO", ["a", "b"])
    write_index(index_of(tmp_path / "series", uuid_of(1), [dataset]), cache)

    table = export(cache, tmp_path, columns=["PatientWeight", "0009_1001", "ProcedureCodeSequence"])

    assert table["PatientWeight"].to_pylist() == [71.5]
    assert table["0009_1001"].to_pylist() == ["a\\b"]
    assert '"C1"' in table["ProcedureCodeSequence"].to_pylist()[0]


def test_per_series_what_varies_is_null_and_named(cache: Cache, tmp_path: Path) -> None:
    datasets = [make_instance(number, EchoTime=str(number), RepetitionTime="9") for number in range(3)]
    write_index(index_of(tmp_path / "series", uuid_of(1), datasets), cache)

    (row,) = export(cache, tmp_path, per="series").to_pylist()

    assert (row["Instances"], row["Frames"], row["EchoTime"], row["RepetitionTime"]) == (3, 3, None, 9)
    assert row["Varying"] == ["SOPInstanceUID", "InstanceNumber", "EchoTime"]


@pytest.mark.parametrize("name", ["EchoTme", "PixelData", "IconImage"])
def test_what_is_no_element_of_text_or_numbers_is_refused(cache: Cache, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionsError, match=r"EchoTime|binary|no keyword"):
        export_headers(cache, tmp_path / "out.parquet", columns=[name])
    assert not (tmp_path / "out.parquet").exists()


def test_partial_and_damaged_indices_are_left_out_and_counted(
    cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "series"
    datasets = [make_instance(number) for number in range(2)]
    write_index(index_of(root, uuid_of(1), datasets), cache)
    write_index(index_of(root, uuid_of(2), datasets, IndexOptions(limit=1)), cache)
    cache.write(f"indices/{uuid_of(3)}_index.parquet", b"no Parquet")

    written = export_headers(cache, tmp_path / "out.parquet")

    assert (written.series, written.rows, written.partial, written.failed) == (1, 2, 1, 1)
    assert uuid_of(3) in caplog.text


def test_a_cache_without_indices_gives_a_table_without_rows(cache: Cache, tmp_path: Path) -> None:
    assert export(cache, tmp_path).num_rows == 0


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot write"):
        export_headers(cache, tmp_path / "none" / "out.parquet")
    assert list(tmp_path.glob("**/*.tmp")) == []


def test_memory_does_not_grow_with_the_number_of_rows(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_file, "_ROWS_AT_ONCE", 200)
    index = index_of(tmp_path / "series", uuid_of(1), [make_instance(number) for number in range(20)])
    peaks = []
    for count in (40, 160):
        write_index(index, cache)
        data = cache.read(f"indices/{uuid_of(1)}_index.parquet")
        assert data is not None
        for number in range(count):
            cache.write(f"indices/{uuid_of(number)}_index.parquet", data)
        tracemalloc.start()
        export_headers(cache, tmp_path / "out.parquet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 160 * 20
    assert peaks[1] < 1.5 * peaks[0]
