import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from faulty_server import FaultyServer, run_faulty_server
from readers import take
from time_limits import join_all

from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage import flow, retry
from dsp_batch.storage.flow import MOST_IN_FLIGHT, USUAL_IN_FLIGHT, Flow, find_flow
from dsp_batch.storage.objects import read_whole, write_whole
from dsp_batch.storage.runtime import forget_opened
from dsp_batch.storage.store import Store
from dsp_batch.storage.urls import parse_location

_OBJECTS = [ObjectInfo(name=f"{index:03}", size=100) for index in range(120)]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with run_faulty_server({f"/bucket/s/{each.name}": bytes(100) for each in _OBJECTS}) as server:
        yield server


def _answer(flow: Flow, seconds: float, count: int = 1) -> None:
    for _ in range(count):
        now = time.monotonic()
        flow.note_answer(now - seconds, now)


def _open(server: FaultyServer, max_workers: int = 64) -> Store:
    return Store("s3://bucket", endpoint_url=server.url, anonymous=True, max_workers=max_workers)


def _read(store: Store, objects: list[ObjectInfo]) -> int:
    """How many reads failed."""
    results = store.read("s", {each: take([(0, 10)]) for each in objects})
    return sum(result != [([bytes(10)], 100)] for result in results.values())


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.001, USUAL_IN_FLIGHT), (0.04, USUAL_IN_FLIGHT), (0.1, 160), (3, MOST_IN_FLIGHT)]
)
def test_requests_in_flight_follow_the_latency(seconds: float, expected: int) -> None:
    flow = Flow()
    _answer(flow, seconds)

    assert flow.limit(1000) == expected
    assert flow.limit(16) == 16


def test_the_fastest_answer_is_the_latency() -> None:
    flow = Flow()
    for seconds in (0.5, 0.08, 0.3):
        _answer(flow, seconds)

    assert flow.limit(1000) == 128


def test_a_refusal_spaces_requests_at_half_of_the_rate_that_was_answered() -> None:
    flow = Flow()
    _answer(flow, 0.001, count=100)
    assert flow.reserve_start() == 0
    flow.slow_down()

    starts = [flow.reserve_start() for _ in range(6)]

    spaces = [after - before for before, after in pairwise(starts)]
    assert all(0.015 < space < 0.025 for space in spaces)  # 100 in the last second: 50 a second, and soon a few more


def test_refusals_of_requests_sent_together_count_once() -> None:
    flow = Flow()
    _answer(flow, 0.001, count=100)
    for _ in range(64):
        flow.slow_down()

    assert [round(flow.reserve_start(), 2) for _ in range(3)] == [0, 0.02, 0.04]


def test_the_rate_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "DOUBLING_SECONDS", 0.02)
    slowed = Flow()
    slowed.slow_down()
    slowed.reserve_start()
    assert slowed.reserve_start() > 0.01

    time.sleep(0.02 * 10)  # from 2 a second to more than 1,600

    assert [slowed.reserve_start() for _ in range(3)] == [0, 0, 0]


def test_a_bucket_has_one_flow_in_a_process_and_another_bucket_its_own() -> None:
    flow = find_flow(parse_location("s3://bucket/prefix"), None)

    assert flow is find_flow(parse_location("s3://bucket"), None)
    assert flow is not find_flow(parse_location("s3://other"), None)
    assert flow is not find_flow(parse_location("s3://bucket"), "http://127.0.0.1:9")


@pytest.mark.parametrize("first", ["listing", "write", "cached object"])
def test_whatever_is_refused_slows_all_requests_to_the_bucket(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(flow, "LEAST_RATE", 10.0)
    store = _open(server)
    server.faults += ["503"]
    if first == "listing":
        assert store.list_objects("s")
    elif first == "write":
        write_whole("s3://bucket/new", b"content", endpoint_url=server.url)
    else:
        assert read_whole("s3://bucket/s/000", endpoint_url=server.url) is not None

    begin = time.monotonic()
    assert _read(store, _OBJECTS[:4]) == 0

    assert time.monotonic() - begin > 0.3  # four requests at ten a second, the first one after the repeated one


def test_a_server_that_takes_few_requests_gets_few_and_all_reads_finish(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.1)
    monkeypatch.setattr(flow, "DOUBLING_SECONDS", 0.5)

    def read_all() -> int:
        forget_opened()
        server.refused, server.tokens, server.rate = 0, 20.0, 150.0
        return _read(_open(server), _OBJECTS)

    assert read_all() == 0
    refused = server.refused
    monkeypatch.setattr(flow, "LEAST_RATE", 1e9)  # a brake that does nothing
    read_all()

    assert 0 < refused < server.refused / 2


def test_threads_and_series_share_their_connections(server: FaultyServer) -> None:
    failed: list[int] = []

    def read(part: int) -> None:
        failed.append(_read(_open(server, max_workers=8), _OBJECTS[part::4]))

    threads = [threading.Thread(target=read, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    join_all(*threads)
    failed += [_read(_open(server, max_workers=8), _OBJECTS[:20]) for _ in range(10)]

    assert failed == [0] * 14
    # A request that comes before the connection of the last answer is back among the idle ones opens another.
    assert server.connections <= 3 * 4 * 8 < len(server.requests)
