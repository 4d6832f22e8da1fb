import asyncio
import os
import pickle
import stat
import time
from pathlib import Path

import pytest
from readers import take, take_all

from dsp_batch.errors import HeaderError, StorageError
from dsp_batch.model.ranges import ByteRange, Reader
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.objects import write_whole
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    series = tmp_path / "38902e14"
    (series / "inner").mkdir(parents=True)
    (series / "b.dcm").write_bytes(b"0123456789")
    (series / "a").write_bytes(b"")
    (series / ".hidden").write_bytes(b"x")
    (series / "DICOMDIR").write_bytes(b"x")
    (series / "inner" / "deep.dcm").write_bytes(b"x")
    (series / "link.dcm").symlink_to(series / "b.dcm")
    (tmp_path / "389f").mkdir()
    (tmp_path / "40").mkdir()
    (tmp_path / "389-file").write_bytes(b"")
    return tmp_path


def test_direct_files_are_listed_with_sizes_in_order_of_names(root: Path) -> None:
    listed = [(each.name, each.size) for each in Store(str(root)).list_objects("38902e14")]

    assert listed == [("a", 0), ("b.dcm", 10), ("link.dcm", 10)]


def test_series_are_the_folders_that_start_with_the_prefix(root: Path) -> None:
    store = Store(root.as_uri())

    assert store.list_series("389") == ["38902e14", "389f"]
    assert store.list_series() == ["38902e14", "389f", "40"]
    assert store.list_series("x") == []


def test_a_missing_series_is_empty_and_a_missing_root_an_error(root: Path) -> None:
    assert Store(str(root)).list_objects("nowhere") == ()
    with pytest.raises(StorageError, match="no such folder") as caught:
        Store(f"{root}/missing").list_objects("nowhere")
    assert caught.value.reason == "not-found"


def test_a_file_in_the_place_of_a_series_is_named_as_one(root: Path) -> None:
    with pytest.raises(StorageError, match=r"38902e14/a is a file: give the folder of its series") as caught:
        Store(f"{root}/38902e14").list_objects("a")

    assert caught.value.reason == "not-found"


def test_ranges_beyond_the_end_are_short_or_empty(root: Path) -> None:
    store = Store(str(root))
    objects = store.list_objects("38902e14")

    results = store.read("38902e14", {each: take([(0, 4), (8, 99), (50, 60)], []) for each in objects})

    assert results["b.dcm"] == [([b"0123", b"89", b""], 10), ([], 10)]
    assert results["a"] == [([b"", b"", b""], 0), ([], 0)]


def test_reads_and_bytes_are_counted(root: Path) -> None:
    store = Store(str(root))
    with measure_usage() as usage:
        results = store.read("38902e14", {ObjectInfo(name="b.dcm", size=10): take([(0, 4)], [(6, 8)])})

    assert results == {"b.dcm": [([b"0123"], 10), ([b"67"], 10)]}
    assert (usage.requests, usage.bytes_read) == (2, 6)


def test_an_error_belongs_to_its_object(root: Path) -> None:
    def fail() -> Reader[bytes]:
        yield [ByteRange(0, 1)]
        raise HeaderError("b.dcm: no DICOM")

    readers = {
        ObjectInfo(name="b.dcm", size=10): fail(),
        ObjectInfo(name="gone.dcm", size=10): take([(0, 1)]),
        ObjectInfo(name="inner", size=10): take([(0, 1)]),
        ObjectInfo(name="link.dcm", size=10): take_all(),
    }
    results = Store(str(root)).read("38902e14", readers)

    assert list(results) == ["b.dcm", "gone.dcm", "inner", "link.dcm"]
    assert isinstance(results["b.dcm"], HeaderError)
    assert isinstance(results["gone.dcm"], StorageError)
    assert results["gone.dcm"].reason == "not-found"
    assert "gone.dcm" in results["gone.dcm"].message
    assert isinstance(results["inner"], StorageError)
    assert results["link.dcm"] == b"0123456789"


def test_other_exceptions_of_a_reader_end_the_call(root: Path) -> None:
    def fail() -> Reader[bytes]:
        yield [ByteRange(0, 1)]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Store(str(root)).read("38902e14", {ObjectInfo(name="b.dcm", size=10): fail()})


def test_the_deadline_holds_for_local_files_too(root: Path) -> None:
    def dawdle() -> Reader[bytes]:
        reply = yield [ByteRange(0, 1)]
        time.sleep(0.1)
        return reply.parts[0]

    for index in range(20):
        (root / "40" / f"{index:02}").write_bytes(b"x")
    store = Store(str(root), max_workers=2)

    results = list(store.read("40", {each: dawdle() for each in store.list_objects("40")}, timeout=0.25).values())

    assert results[0] == b"x"
    assert isinstance(results[-1], StorageError)
    assert results[-1].reason == "timeout"


def test_a_named_pipe_is_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "40" / "pipe")

    assert Store(str(root)).list_objects("40") == ()
    result = Store(str(root)).read("40", {ObjectInfo(name="pipe", size=None): take([(0, 1)])})["pipe"]
    assert isinstance(result, StorageError)
    assert "no regular file" in result.message


def test_a_file_that_may_not_be_read_is_denied(root: Path) -> None:
    (root / "38902e14" / "b.dcm").chmod(0)
    store = Store(str(root))
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        result = store.read("38902e14", {ObjectInfo(name="b.dcm", size=10): take([(0, 1)])})["b.dcm"]
    finally:
        os.seteuid(user)

    assert isinstance(result, StorageError)
    assert result.reason == "access-denied"


def test_a_store_is_a_value_that_pickles(root: Path) -> None:
    store = Store(str(root) + "/", max_workers=3)

    assert pickle.loads(pickle.dumps(store)) == store == Store(root.as_uri(), max_workers=3)


def test_a_store_works_inside_a_running_event_loop(root: Path) -> None:
    async def notebook() -> tuple[list[str], int]:
        with measure_usage() as usage:
            return Store(str(root)).list_series("4"), usage.requests

    assert asyncio.run(notebook()) == (["40"], 1)


def test_many_objects_are_read_with_few_open_files(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    (tmp_path / "s").mkdir()
    for index in range(300):
        (tmp_path / "s" / f"{index:03}").write_bytes(b"%d" % index)
    store = Store(str(tmp_path), max_workers=16)
    objects = store.list_objects("s")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 40, limits[1]))
    try:
        results = store.read("s", {each: take_all() for each in objects})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert list(results.values()) == [b"%d" % index for index in range(300)]


@pytest.mark.skipif(os.name != "posix", reason="no modes here")
@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_a_cache_is_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(str(tmp_path / "cache" / "indices" / "x.parquet"), b"1", make_parents=True)
        write_whole(str(tmp_path / "out.webp"), b"1")
    finally:
        os.umask(before)

    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*")}
    assert modes == {"cache": 0o700, "indices": 0o700, "x.parquet": 0o600, "out.webp": 0o666 & ~umask}
