import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
from faulty_server import run_faulty_server
from readers import take, take_all
from servers import S3Server, WebServer
from time_limits import join_all

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

_ODD_NAMES = (
    "a b.dcm",
    "ü.dcm",
    "1+1.dcm",
    "a#b.dcm",
    "100%.dcm",
    "a%20b.dcm",
    "q?x=1&y",
    "[x]{y}*",
    "e'\"<>",
    "~c\\d",
)


def _reason(result: object) -> str:
    assert isinstance(result, StorageError)
    return result.reason


def test_direct_objects_are_listed_with_sizes_and_without_a_head(
    s3_environment: S3Server, bucket: str, proxy: WebServer
) -> None:
    keys = {"s/b.dcm": b"12345", "s/empty": b"", "s/.x": b"1", "s/DICOMDIR": b"1", "s/in/deep": b"1", "s2/x": b"1"}
    s3_environment.put(bucket, {**keys, "s/": b""})

    with measure_usage() as usage:
        objects = Store(f"s3://{bucket}", endpoint_url=proxy.url).list_objects("s")

    assert [(each.name, each.size) for each in objects] == [("b.dcm", 5), ("empty", 0)]
    asked = proxy.requests()
    assert len(asked) == usage.requests == 1
    assert "delimiter" in asked[0]


def test_objects_below_a_prefix_of_the_bucket(s3_environment: S3Server, bucket: str) -> None:
    s3_environment.put(bucket, {"a/b/s1/x": b"12", "a/b/s2/x": b"1", "a/bc/s3/x": b"1"})
    store = Store(f"s3://{bucket}/a/b/")

    assert store.list_series() == ["s1", "s2"]
    assert store.list_series("s2") == ["s2"]
    assert store.list_objects("s1") == (ObjectInfo(name="x", size=2),)
    assert store.read("s1", {ObjectInfo(name="x", size=2): take_all()}) == {"x": b"12"}


def test_names_with_odd_letters_are_listed_and_read(s3_environment: S3Server, bucket: str) -> None:
    content = {name: name.encode() for name in _ODD_NAMES}
    s3_environment.put(bucket, {f"s/{name}": data for name, data in content.items()})
    store = Store(f"s3://{bucket}")
    objects = store.list_objects("s")

    assert store.read("s", {each: take_all() for each in objects}) == content


def test_a_raw_prefix_matches_letter_by_letter(s3_environment: S3Server, bucket: str) -> None:
    s3_environment.put(bucket, {f"{name}/x": b"" for name in ("389a", "3890", "38", "40", "389-b+c d")})
    store = Store(f"s3://{bucket}")

    assert store.list_series("389") == ["389-b+c d", "3890", "389a"]
    assert store.list_series() == ["38", "389-b+c d", "3890", "389a", "40"]
    assert store.list_series("5") == []


def test_listings_of_several_pages_are_whole_and_counted(
    s3_environment: S3Server, bucket: str, proxy: WebServer
) -> None:
    s3_environment.put_many(bucket, {f"s/{index:04}": b"" for index in range(1001)})
    s3_environment.put_many(bucket, {f"f{index:04}/x": b"" for index in range(1001)})
    store = Store(f"s3://{bucket}", endpoint_url=proxy.url)

    with measure_usage() as usage:
        assert len(store.list_objects("s")) == 1001
        assert len(store.list_series("f")) == 1001
        assert len(store.list_series()) == 1002
    assert len(proxy.requests()) == usage.requests == 6


def test_keys_with_empty_parts_do_not_hide_a_series(s3_environment: S3Server, bucket: str) -> None:
    s3_environment.put(bucket, {"s//deep": b"1", "s/a.dcm": b"12"})

    assert Store(f"s3://{bucket}").list_objects("s") == (ObjectInfo(name="a.dcm", size=2),)


def test_listings_share_connections_and_survive_those_that_the_server_has_closed() -> None:
    with run_faulty_server({"/bucket/s/x.dcm": b"1"}) as server:
        store = Store("s3://bucket", endpoint_url=server.url, anonymous=True)
        for _ in range(3):
            store.list_objects("s")
        assert server.connections == 1

        server.faults.append("503")
        server.faults.append("close")
        assert len(store.list_objects("s")) == 1
        assert len(server.requests) == 6


def test_a_proxy_of_the_environment_passes_listings_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_faulty_server({"/bucket/s/x.dcm": b"1"}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:pass%20word@"))
        monkeypatch.setenv("no_proxy", "")
        store = Store("s3://bucket", endpoint_url="http://nowhere.invalid:81", anonymous=True)

        assert store.list_objects("s") == (ObjectInfo(name="x.dcm", size=1),)
    assert proxy.requests == ["/bucket"]


def test_requests_and_bytes_are_those_that_the_server_saw(
    s3_environment: S3Server, bucket: str, proxy: WebServer
) -> None:
    s3_environment.put(bucket, {f"s/{index}": bytes(100_000) for index in range(20)})
    store = Store(f"s3://{bucket}", endpoint_url=proxy.url)
    objects = store.list_objects("s")

    with measure_usage() as usage:
        results = store.read("s", {each: take([(0, 8192)], [(50_000, 50_010), (99_990, 200_000)]) for each in objects})

    assert all(reply.size == 100_000 for replies in results.values() for reply in replies)
    gets = [line for line in proxy.requests() if "list-type" not in line]
    assert len(gets) == usage.requests == 60
    assert all(line.startswith("GET ") for line in gets)
    assert usage.bytes_read == 20 * (8192 + 10 + 10)


def test_an_object_of_unknown_size(s3_environment: S3Server, bucket: str, proxy: WebServer) -> None:
    s3_environment.put(bucket, {"s/x": b"0123456789", "s/empty": b""})
    store = Store(f"s3://{bucket}", endpoint_url=proxy.url)
    readers = {
        ObjectInfo(name="x", size=None): take([(2, 5)], [(50, 60)]),
        ObjectInfo(name="empty", size=None): take([(0, 5)]),
    }

    assert store.read("s", readers) == {"x": [([b"234"], 10), ([b""], 10)], "empty": [([b""], 0)]}
    far = store.read("s", {ObjectInfo(name="x", size=None): take([(50, 60)])})
    assert far == {"x": [([b""], 10)]}
    assert not [line for line in proxy.requests() if line.startswith("HEAD")]


def test_a_missing_object_and_a_missing_bucket_are_not_found(
    s3_environment: S3Server, bucket: str, proxy: WebServer
) -> None:
    readers = {ObjectInfo(name="gone", size=2): take_all()}

    assert _reason(Store(f"s3://{bucket}", endpoint_url=proxy.url).read("s", readers)["gone"]) == "not-found"
    assert len(proxy.requests()) == 1
    for action in (lambda store: store.list_objects("s"), lambda store: store.list_series("s")):
        with pytest.raises(StorageError, match="no such bucket") as caught:
            action(Store("s3://no-such-bucket-here"))
        assert caught.value.reason == "not-found"


def test_a_series_without_objects_is_empty(s3_environment: S3Server, bucket: str) -> None:
    assert Store(f"s3://{bucket}").list_objects("nothing") == ()


def test_many_threads_share_one_store_and_count_for_themselves(s3_environment: S3Server, bucket: str) -> None:
    s3_environment.put(bucket, {f"s/{index}": b"%d" % index for index in range(40)})
    store = Store(f"s3://{bucket}", max_workers=8)
    objects = store.list_objects("s")
    counts: list[int] = []

    def task(number: int) -> None:
        with measure_usage() as usage:
            results = store.read("s", {each: take([(0, 9)]) for each in objects[:number]})
            assert results == {each.name: [([each.name.encode()], each.size)] for each in objects[:number]}
            counts.append(usage.requests)

    threads = [threading.Thread(target=task, args=(number,)) for number in (10, 20, 30, 40)]
    for thread in threads:
        thread.start()
    join_all(*threads)

    assert sorted(counts) == [10, 20, 30, 40]


def test_requests_in_flight_are_bounded(s3_environment: S3Server, bucket: str) -> None:
    s3_environment.put(bucket, {"s/x": bytes(400_000)})
    ranges = [(index * 20_000, index * 20_000 + 100) for index in range(20)]
    before = threading.active_count()

    replies = Store(f"s3://{bucket}", max_workers=2).read("s", {ObjectInfo(name="x", size=400_000): take(ranges)})["x"]

    assert replies == [([bytes(100)] * 20, 400_000)]
    assert threading.active_count() - before < 8


def _list_in_child(store: Store, results: "multiprocessing.SimpleQueue[object]") -> None:
    results.put([each.name for each in store.list_objects("s")])


def test_a_store_travels_to_another_process(s3_environment: S3Server, bucket: str) -> None:
    s3_environment.put(bucket, {"s/x": b"12"})
    store = Store(f"s3://{bucket}")
    assert store.list_objects("s")
    spawn = multiprocessing.get_context("spawn")
    results = spawn.SimpleQueue()

    child = spawn.Process(target=_list_in_child, args=(store, results))
    child.start()
    join_all(child)
    assert child.exitcode == 0
    assert results.get() == ["x"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_says_so_instead_of_waiting_for_ever(s3_environment: S3Server, bucket: str) -> None:
    program = (
        "import os, sys\n"
        "from dsp_batch.storage.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "store.list_objects('s')\n"
        "if os.fork() == 0:\n"
        "    try:\n        store.list_objects('s')\n"
        "    except Exception as error:\n        print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    command = [sys.executable, "-c", program, f"s3://{bucket}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert "start processes with `spawn`" in done.stdout
