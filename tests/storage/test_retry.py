import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from faulty_server import FaultyServer, run_faulty_server
from readers import take, take_all

from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model.ranges import ByteRange, Reader
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage import retry
from dsp_batch.storage.backends import ranged
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

_OBJECT = ObjectInfo(name="x.dcm", size=1000)
_CONTENT = bytes(range(250)) * 4
_SIX = 6


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(ranged, "READ_TIMEOUT", "300ms")
    with run_faulty_server({"/bucket/s/x.dcm": _CONTENT, "/bucket/s/y.dcm": _CONTENT}) as server:
        yield server


def _open(server: FaultyServer, kind: str) -> Store:
    if kind == "http":
        return Store(f"{server.url}/bucket")
    return Store("s3://bucket", endpoint_url=server.url, anonymous=True)


def _read(store: Store, info: ObjectInfo = _OBJECT) -> bytes | DspBatchError:
    return store.read("s", {info: take_all()})[info.name]


@pytest.mark.parametrize("kind", ["s3", "http"])
@pytest.mark.parametrize("fault", ["503", "500", "502", "504", "429", "reset", "close", "cut", "hang"])
@pytest.mark.parametrize("size", [1000, None])
def test_temporary_failures_pass_unseen(server: FaultyServer, kind: str, fault: str, size: int | None) -> None:
    server.faults += [fault, fault]

    with measure_usage() as usage:
        assert _read(_open(server, kind), ObjectInfo(name="x.dcm", size=size)) == _CONTENT

    assert usage.requests == len(server.requests) == 4
    assert usage.bytes_read == 1000


@pytest.mark.parametrize("kind", ["s3", "http"])
@pytest.mark.parametrize("size", [1000, None])
@pytest.mark.parametrize("fault", ["stall", "short", "shifted", "slow", "whole"])
def test_answers_that_lie_about_their_bytes_do_no_harm(
    server: FaultyServer, kind: str, size: int | None, fault: str
) -> None:
    store = _open(server, kind)
    info = ObjectInfo(name="x.dcm", size=size)
    server.faults += ["", fault]

    assert store.read("s", {info: take([(10, 20)], [(600, 900), (30, 40)])})["x.dcm"] == [
        ([_CONTENT[10:20]], 1000),
        ([_CONTENT[600:900], _CONTENT[30:40]], 1000),
    ]


def test_one_whole_body_does_not_make_a_server_one_that_ignores_ranges(server: FaultyServer) -> None:
    store = _open(server, "http")
    server.faults += ["", "whole"]

    with measure_usage() as usage:
        for _ in range(3):
            assert store.read("s", {_OBJECT: take([(5, 10)])})["x.dcm"] == [([_CONTENT[5:10]], 1000)]

    assert usage.bytes_read == 5 + 1000 + 5


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("503", "HTTP 503 SlowDown"),
        ("429", "HTTP 429"),
        ("reset", "connection reset"),
        ("close", "connection closed before the answer was complete"),
        ("cut", "connection closed before the answer was complete"),
        ("hang", "timed out"),
    ],
)
def test_after_six_attempts_one_short_line_says_why(server: FaultyServer, fault: str, cause: str) -> None:
    server.faults += [fault] * 20

    result = _read(_open(server, "s3"))

    assert isinstance(result, StorageError)
    assert result.reason == "network"
    advice = "after 6 attempts; check the network and try again"
    assert result.message == f"cannot read s3://bucket/s/x.dcm: {cause} {advice}"
    assert len(server.requests) == _SIX


@pytest.mark.parametrize(
    ("fault", "reason"), [("403", "access-denied"), ("404", "not-found"), ("400", "network"), ("501", "network")]
)
def test_what_will_not_pass_is_asked_once(server: FaultyServer, fault: str, reason: str) -> None:
    server.faults.append(fault)

    result = _read(_open(server, "s3"))

    assert isinstance(result, StorageError)
    assert result.reason == reason
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["s3", "http"])
@pytest.mark.parametrize("fault", ["503", "reset", "close"])
def test_listings_are_tried_again_too(server: FaultyServer, kind: str, fault: str) -> None:
    server.faults += [fault, fault]

    with measure_usage() as usage:
        objects = _open(server, kind).list_objects("s")

    assert [each.name for each in objects] == ["x.dcm", "y.dcm"]
    assert usage.requests == len(server.requests)


@pytest.mark.parametrize("fault", ["503", "reset", "close"])
def test_listings_by_raw_prefix_are_tried_again_too(server: FaultyServer, fault: str) -> None:
    server.faults += [fault, fault]

    with measure_usage() as usage:
        assert _open(server, "s3").list_series("s") == []  # this server knows no folders

    assert usage.requests == len(server.requests) == 3


def test_a_listing_by_raw_prefix_where_no_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)

    with pytest.raises(StorageError, match="connection refused after 6 attempts") as caught:
        Store("s3://bucket", endpoint_url="http://127.0.0.1:9", anonymous=True).list_series("s")
    assert caught.value.reason == "network"


def test_a_listing_that_never_succeeds_is_an_error(server: FaultyServer) -> None:
    server.faults += ["503"] * 20

    with pytest.raises(StorageError, match="cannot list s3://bucket/s: HTTP 503 SlowDown after 6 attempts") as caught:
        _open(server, "s3").list_objects("s")
    assert caught.value.reason == "network"
    assert len(server.requests) == _SIX


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)

    result = _read(Store("s3://bucket", endpoint_url="http://127.0.0.1:9", anonymous=True))

    assert "connection refused after 6 attempts" in str(result)


def test_one_bad_object_does_not_stop_the_others(server: FaultyServer) -> None:
    readers = {_OBJECT: take_all(), ObjectInfo(name="gone.dcm", size=5): take_all()}

    results = _open(server, "s3").read("s", readers)

    assert results["x.dcm"] == _CONTENT
    assert isinstance(results["gone.dcm"], StorageError)


def test_the_whole_call_ends_at_its_deadline(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranged, "READ_TIMEOUT", "20s")
    store = Store("s3://bucket", endpoint_url=server.url, anonymous=True, max_workers=1)
    server.faults += ["", "hang"]
    readers = {ObjectInfo(name=name, size=1000): take([(0, 10)]) for name in ("x.dcm", "y.dcm", "z.dcm")}
    begin = time.monotonic()

    results = store.read("s", readers, timeout=0.5)

    assert time.monotonic() - begin < 5
    assert list(results) == ["x.dcm", "y.dcm", "z.dcm"]
    assert results["x.dcm"] == [([_CONTENT[:10]], 1000)]
    late = [results["y.dcm"], results["z.dcm"]]
    assert [each.reason for each in late if isinstance(each, StorageError)] == ["timeout", "timeout"]
    assert "s3://bucket/s/y.dcm: not finished within 0.5 s" in str(late[0])


def test_a_time_out_of_the_reader_itself_is_not_taken_for_the_deadline(server: FaultyServer) -> None:
    def fail() -> Reader[bytes]:
        yield [ByteRange(0, 1)]
        raise TimeoutError

    with pytest.raises(TimeoutError):
        _open(server, "s3").read("s", {_OBJECT: fail()}, timeout=30)


def test_an_interrupt_ends_a_read_that_waits(server: FaultyServer) -> None:
    server.faults += ["hang"]
    program = (
        "import sys\n"
        "from dsp_batch.model.series import ObjectInfo\n"
        "from dsp_batch.model.ranges import ByteRange\n"
        "from dsp_batch.storage.store import Store\n"
        "def reader():\n"
        "    yield [ByteRange(0, 10)]\n"
        "store = Store('s3://bucket', endpoint_url=sys.argv[1], anonymous=True)\n"
        "store.read('s', {ObjectInfo(name='x.dcm', size=1000): reader()})\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, server.url], stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 20
    while not server.requests and time.monotonic() < limit:
        time.sleep(0.02)

    child.send_signal(signal.SIGINT)
    try:
        _, said = child.communicate(timeout=5)
    finally:
        child.kill()

    assert said.rstrip().endswith("KeyboardInterrupt")
