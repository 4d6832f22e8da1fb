import asyncio
import gc
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from readers import take, take_all
from servers import S3Server, WebServer, run_nginx, run_python_server

from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.objects import read_whole
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

_CONTENT = {
    name: name.encode() * 50
    for name in ("b.dcm", "a b", "ü", "1+1", "a#b", "100%", "a%20b", "q?x=1&y", "[x]{y}*", "e'\"<>", "~c;d", "co:lon")
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    series = tmp_path / "www" / "38902e14"
    (series / "inner").mkdir(parents=True)
    for name, data in _CONTENT.items():
        (series / name).write_bytes(data)
    (series / "inner" / "deep").write_bytes(b"x")
    (series.parent / "389f").mkdir()
    (series.parent / "40").mkdir()
    (series.parent / "389-file").write_bytes(b"x")
    return series.parent


@pytest.fixture
def nginx(folder: Path, tmp_path: Path) -> Iterator[WebServer]:
    locations = f"""
        location /html/ {{ alias {folder}/; autoindex on; }}
        location /json/ {{ alias {folder}/; autoindex on; autoindex_format json; }}
        location /a%20b/ {{ return 404; }}
        location "/my data/" {{ alias {folder}/; autoindex on; }}
        location /moved/ {{ rewrite ^/moved/(.*)$ /html/$1 redirect; }}
        location /denied/ {{ return 403; }}
        location /page/ {{ alias {folder}/; }}
    """
    with run_nginx(tmp_path / "nginx", locations) as server:
        yield server


@pytest.fixture
def python_server(folder: Path, tmp_path: Path) -> Iterator[str]:
    with run_python_server(folder, tmp_path / "http.log") as url:
        yield url


@pytest.mark.parametrize("place", ["html", "json", "html/", "my%20data", "my data"])
def test_names_come_from_the_listing_of_nginx(nginx: WebServer, place: str) -> None:
    store = Store(f"{nginx.url}/{place}")
    objects = store.list_objects("38902e14")

    assert {each.name for each in objects} == set(_CONTENT)
    assert store.read("38902e14", {each: take_all() for each in objects}) == _CONTENT
    assert store.list_series("389") == ["38902e14", "389f"]
    assert store.list_series() == ["38902e14", "389f", "40"]


def test_sizes_are_known_only_where_the_listing_is_exact(nginx: WebServer) -> None:
    exact = {each.name: each.size for each in Store(f"{nginx.url}/json").list_objects("38902e14")}
    unknown = Store(f"{nginx.url}/html").list_objects("38902e14")

    assert exact == {name: len(data) for name, data in _CONTENT.items()}
    assert {each.size for each in unknown} == {None}


def test_requests_and_bytes_are_those_that_the_server_saw(nginx: WebServer) -> None:
    store = Store(f"{nginx.url}/html")
    with measure_usage() as usage:
        objects = store.list_objects("38902e14")
        listing_bytes = usage.bytes_read
        store.read("38902e14", {each: take([(0, 10)], [(20, 30), (100_000, 100_010)]) for each in objects})

    asked = nginx.requests()
    assert len(asked) == usage.requests
    assert all(line.startswith("GET ") for line in asked)
    # The range behind the end is asked for only when the size is not known yet; here it is.
    assert len(asked) == 1 + 2 * len(_CONTENT)
    assert usage.bytes_read - listing_bytes == 20 * len(_CONTENT)


def test_an_object_without_bytes(nginx: WebServer, folder: Path) -> None:
    (folder / "40" / "empty").write_bytes(b"")
    for place in ("html", "json"):
        store = Store(f"{nginx.url}/{place}")
        objects = store.list_objects("40")
        assert store.read("40", {each: take([(0, 10)], [(5, 6)]) for each in objects}) == {
            "empty": [([b""], 0), ([b""], 0)]
        }


def test_redirects_are_followed(nginx: WebServer) -> None:
    store = Store(f"{nginx.url}/moved")
    objects = store.list_objects("38902e14")

    assert ObjectInfo(name="b.dcm", size=None) in objects
    assert store.read("38902e14", {ObjectInfo(name="a b", size=None): take([(0, 3)])}) == {"a b": [([b"a b"], 150)]}


def test_a_server_that_ignores_ranges_is_read_once_per_object(python_server: str, tmp_path: Path) -> None:
    store = Store(python_server, max_workers=2)
    objects = store.list_objects("38902e14")
    assert {each.name for each in objects} == set(_CONTENT)
    assert store.list_series("389") == ["38902e14", "389f"]

    with measure_usage() as usage:
        results = store.read("38902e14", {each: take([(0, 3)], [(10, 13), (40_000, 40_001)]) for each in objects})

    for name, data in _CONTENT.items():
        assert results[name] == [([data[:3]], len(data)), ([data[10:13], b""], len(data))]
    asked = [line for line in (tmp_path / "http.log").read_text().splitlines() if '"GET /38902e14/' in line]
    assert len(asked) - 1 == usage.requests  # one listing
    # The first two in flight find out that ranges are ignored, and ask again.
    assert usage.requests <= len(_CONTENT) + 2
    assert usage.bytes_read == sum(len(data) for data in _CONTENT.values())


class _TricklingHandler(BaseHTTPRequestHandler):
    """A server without ranges that sends a megabyte as 100 bytes now and then, but for `/fast/`."""

    busy: ClassVar[set[int]] = set()
    """Threads that are sending."""

    def do_GET(self) -> None:
        self.busy.add(threading.get_ident())
        self.send_response(200)
        self.send_header("Content-Length", "1000" if "fast" in self.path else "1000000")
        self.end_headers()
        try:
            for _ in range(10 if "fast" in self.path else 10_000):
                self.wfile.write(bytes(100))
                time.sleep(0 if "fast" in self.path else 0.05)
        except OSError:  # the client has left
            self.close_connection = True
        self.busy.remove(threading.get_ident())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def trickling_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _TricklingHandler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_series_that_trickles_in_ends_in_time_and_keeps_no_other_waiting(trickling_server: str) -> None:
    store = Store(trickling_server, max_workers=8)

    def read(folder: str, seconds: float) -> dict[str, bytes | DspBatchError]:
        readers = {ObjectInfo(name=f"{number}.dcm", size=None): take_all() for number in range(40)}
        return store.read(folder, readers, timeout=seconds)

    with ThreadPoolExecutor() as pool:
        slow = pool.submit(read, "slow", 4.0)
        time.sleep(0.5)
        begin = time.monotonic()
        assert {*read("fast", 30.0).values()} == {bytes(1000)}
        assert time.monotonic() - begin < 3
        assert {getattr(result, "reason", None) for result in slow.result(60).values()} == {"timeout"}
    limit = time.monotonic() + 5
    while _TricklingHandler.busy:
        assert time.monotonic() < limit, "connections are still open"
        time.sleep(0.05)


def test_calls_with_more_bodies_than_threads_leave_nothing_behind(trickling_server: str) -> None:
    def find_loops() -> set[int]:
        gc.collect()
        return {id(each) for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop)}

    store, before = Store(trickling_server), find_loops()
    for _ in range(3):
        readers = {ObjectInfo(name=f"{number}.dcm", size=None): take_all() for number in range(200)}
        assert {*store.read("fast", readers).values()} == {bytes(1000)}

    limit = time.monotonic() + 5
    while not find_loops() <= before:  # a thread lets go of its last call a moment after the answer is there
        assert time.monotonic() < limit, "event loops of calls that have ended are still there"
        time.sleep(0.05)


def test_missing_things_over_http(nginx: WebServer) -> None:
    store = Store(f"{nginx.url}/html")

    assert store.list_objects("nothing") == ()
    gone = store.read("38902e14", {ObjectInfo(name="gone", size=None): take_all()})["gone"]
    assert isinstance(gone, StorageError)
    assert gone.reason == "not-found"
    assert gone.message == f"cannot read {nginx.url}/html/38902e14/gone: no such object"
    with pytest.raises(StorageError) as caught:
        Store(f"{nginx.url}/missing").list_series()
    assert caught.value.reason == "not-found"


def test_a_listing_that_is_denied(nginx: WebServer) -> None:
    for place in ("denied", "page"):  # nginx answers 403 where autoindex is off
        with pytest.raises(StorageError, match="access denied") as caught:
            Store(f"{nginx.url}/{place}").list_objects("38902e14")
        assert caught.value.reason == "access-denied"


def test_a_bucket_given_by_its_http_address(s3_server: S3Server) -> None:
    bucket = f"public-{uuid.uuid4().hex[:8]}"
    s3_server.create_bucket(bucket, public=True)
    s3_server.put(bucket, {"p/s/a b.dcm": b"12345", "p/s/in/deep": b"1", "p/s2/x": b"1", "p/t/x": b"1"})
    s3_server.put_many(bucket, {f"p/many/{index:04}": b"1" for index in range(1001)})
    store = Store(f"{s3_server.endpoint}/{bucket}/p")

    assert store.list_objects("s") == (ObjectInfo(name="a b.dcm", size=5),)
    assert store.read("s", {ObjectInfo(name="a b.dcm", size=5): take_all()}) == {"a b.dcm": b"12345"}
    assert store.list_series("s") == ["s", "s2"]
    assert len(store.list_objects("many")) == 1001
    assert store.list_objects("nothing") == ()


def test_a_private_bucket_given_by_its_http_address_is_denied(s3_server: S3Server) -> None:
    bucket = f"private-{uuid.uuid4().hex[:8]}"
    s3_server.create_bucket(bucket)

    with pytest.raises(StorageError) as caught:
        Store(f"{s3_server.endpoint}/{bucket}").list_objects("s")
    assert caught.value.reason == "access-denied"


def test_whole_objects_over_http(nginx: WebServer) -> None:
    assert read_whole(f"{nginx.url}/html/38902e14/b.dcm") == _CONTENT["b.dcm"]
    assert read_whole(f"{nginx.url}/html/gone") is None
    with pytest.raises(StorageError, match="access denied"):
        read_whole(f"{nginx.url}/denied/x")
