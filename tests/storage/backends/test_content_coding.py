"""Objects in gzip's coding, as servers and buckets hold them, and objects that are archived."""

import gzip
from pathlib import Path

import pytest
from data_folder import DATA, needs_data
from faulty_server import run_faulty_server
from readers import take, take_all

from dsp_batch.errors import ArchivedError, StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.pipeline import load_index, preview
from dsp_batch.storage.backends import content_coding
from dsp_batch.storage.backends.content_coding import decode_body
from dsp_batch.storage.objects import read_whole, write_whole
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

_SERIES = "ds-decimal-comma"


def _contents() -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in (DATA / "reports" / _SERIES).iterdir()}


@pytest.mark.usefixtures("odd_keys")
@pytest.mark.parametrize("kind", ["s3", "http"])
def test_objects_in_gzips_coding_are_decoded(odd_server: str, kind: str) -> None:
    store = Store("s3://gzip", endpoint_url=odd_server) if kind == "s3" else Store(f"{odd_server}/gzip")
    objects, contents = store.list_objects(_SERIES), _contents()

    assert store.read(_SERIES, {each: take_all() for each in objects}) == contents
    assert store.read(_SERIES, {each: take([(0, 1 << 20)]) for each in objects}) == {
        name: [([data], len(data))] for name, data in contents.items()
    }


@pytest.mark.usefixtures("odd_keys")
@pytest.mark.parametrize("begin", [600, 2000])
def test_a_range_of_an_object_whose_size_an_index_knows_is_one_of_what_it_holds(odd_server: str, begin: int) -> None:
    store, contents = Store("s3://gzip", endpoint_url=odd_server), _contents()
    readers = {ObjectInfo(name=name, size=len(data)): take([(begin, begin + 50)]) for name, data in contents.items()}

    assert store.read(_SERIES, readers) == {
        name: [([data[begin : begin + 50]], len(data))] for name, data in contents.items()
    }


@pytest.mark.usefixtures("odd_keys")
def test_whole_objects_in_gzips_coding_are_decoded_too(odd_server: str) -> None:
    data = _contents()["1.dcm"]

    assert read_whole(f"{odd_server}/gzip/{_SERIES}/1.dcm") == data
    assert read_whole(f"s3://gzip/{_SERIES}/1.dcm", endpoint_url=odd_server) == data


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_an_object_named_gz_is_decoded(kind: str) -> None:
    content = bytes(range(250)) * 40
    with run_faulty_server({"/bucket/s/x.dcm.gz": gzip.compress(content), "/bucket/s/y.gz": content}) as server:
        s3 = Store("s3://bucket", endpoint_url=server.url, anonymous=True)
        store = s3 if kind == "s3" else Store(f"{server.url}/bucket")
        readers = {each: take([(9000, 9010)], [(0, 5)]) for each in store.list_objects("s")}
        with measure_usage() as usage:
            results = store.read("s", readers)

    assert set(results) == {"x.dcm.gz", "y.gz"}
    assert list(results.values()) == [[([content[9000:9010]], 10000), ([content[:5]], 10000)]] * 2
    assert usage.requests == 2


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_file_named_gz_is_decoded_wherever_it_lies(kind: str, tmp_path: Path) -> None:
    content = bytes(range(250)) * 40
    root = str(tmp_path) if kind == "local" else f"memory://{tmp_path.name}"
    for name, data in {"x.dcm.gz": gzip.compress(content), "y.gz": content}.items():
        write_whole(f"{root}/s/{name}", data, make_parents=True)
    store = Store(root)
    readers = {each: take([(9000, 9010)], [(0, 5)]) for each in store.list_objects("s")}

    results = store.read("s", readers)

    assert set(results) == {"x.dcm.gz", "y.gz"}
    assert list(results.values()) == [[([content[9000:9010]], 10000), ([content[:5]], 10000)]] * 2


def test_a_damaged_file_named_gz_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x.gz").write_bytes(gzip.compress(bytes(1000))[:-9])
    store = Store(str(tmp_path))

    failure = store.read("s", {each: take_all() for each in store.list_objects("s")})["x.gz"]

    assert isinstance(failure, StorageError)
    assert failure.message.endswith("its gzip coding is damaged")


@needs_data
def test_a_series_of_packed_files_is_drawn_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "CT").mkdir()
    for name, data in _contents().items():
        (tmp_path / "CT" / f"{name}.gz").write_bytes(gzip.compress(data))

    assert preview(tmp_path / "CT").data == preview(DATA / "reports" / _SERIES).data


def test_what_gzip_holds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_coding, "MOST_BODY", 1000)
    coded = gzip.compress(bytes(600))

    assert decode_body(coded, "gzip", "x", "read x") == bytes(600)
    with pytest.raises(StorageError, match="at most 1,000 are") as caught:
        decode_body(coded * 2, "gzip", "x", "read x")
    assert caught.value.reason == "too-large"


def test_what_is_wrong_with_a_coding_is_told() -> None:
    with pytest.raises(StorageError, match="cannot read x: its gzip coding is damaged"):
        decode_body(gzip.compress(b"1234")[:-9], "gzip", "x", "read x")
    with pytest.raises(StorageError, match="cannot read x: it is stored in the coding 'br', and only gzip is decoded"):
        decode_body(b"1234", "br", "x", "read x")
    assert decode_body(gzip.compress(b"12"), None, "x", "read x") == gzip.compress(b"12")


@pytest.mark.usefixtures("odd_keys")
def test_an_archived_object_costs_itself_alone(odd_server: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store("s3://archived", endpoint_url=odd_server)
    result = store.read(_SERIES, {ObjectInfo(name="1.dcm", size=2000): take_all()})["1.dcm"]
    assert isinstance(result, ArchivedError)
    assert result.message == f"cannot read s3://archived/{_SERIES}/1.dcm: archived: restore it first"

    index = load_index(f"s3://archived/{_SERIES}", endpoint_url=odd_server)

    assert len(index) == len(_contents()) - 1
    warnings = [each.getMessage() for each in caplog.records if "archived: restore it first" in each.getMessage()]
    assert len(warnings) == 1
