"""Cutting shards: nothing is lost, the largest come first, and the end is short."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.batch.plan.expectations import Expected
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.sharding import (
    MAX_SERIES_PER_SHARD,
    OVERDUE_AFTER,
    SECONDS_PER_SHARD,
    SHARDS_PER_THREAD,
    SHORTEST_SHARD,
    ShardPlanner,
)
from dsp_batch.model.series import SeriesRef

WORK = st.one_of(st.none(), st.floats(0, 0.3), st.floats(0.001, 10), st.sampled_from([0.0, 0.05, 3000.0]))
WORKS = st.lists(WORK, max_size=400)


def ref_of(number: int) -> SeriesRef:
    return SeriesRef(root="/series", series_uuid=str(number))


def expect(works: Sequence[float | None]) -> Iterator[Expected]:
    return (Expected(ref_of(number), seconds) for number, seconds in enumerate(works))


def row_of(ref: SeriesRef, seconds: float) -> SeriesResult:
    return SeriesResult(series_uuid=ref.series_uuid, root=ref.root, status="done", seconds_render=seconds)


def cut_all(planner: ShardPlanner) -> list[list[int]]:
    return [[int(ref.series_uuid) for ref in shard] for shard in iter(planner.next_shard, ())]


def run_cluster(planner: ShardPlanner, costs: Sequence[float], threads: int) -> float:
    """Work shards off in the order in which they are submitted, a few ahead of each thread; when the last one ends."""
    free = [0.0] * threads
    running: list[tuple[float, int, tuple[SeriesRef, ...]]] = []
    waiting: deque[tuple[int, tuple[SeriesRef, ...]]] = deque()
    now, submitted = 0.0, 0
    while True:
        while len(running) + len(waiting) < threads * SHARDS_PER_THREAD and (shard := planner.next_shard()):
            waiting.append((submitted, shard))
            submitted += 1
        while waiting and free[0] <= now:
            number, shard = waiting.popleft()
            end = now + sum(costs[int(ref.series_uuid)] for ref in shard)
            heapq.heapreplace(free, end)
            heapq.heappush(running, (end, number, shard))
        if not running:
            return now
        now, _, shard = heapq.heappop(running)
        planner.learn(row_of(ref, costs[int(ref.series_uuid)]) for ref in shard)


@settings(deadline=None)
@given(works=WORKS, threads=st.integers(1, 40), ahead=st.integers(1, 50), overestimated=st.integers(0, 100))
def test_every_series_comes_out_exactly_once(
    works: list[float | None], threads: int, ahead: int, overestimated: int
) -> None:
    planner = ShardPlanner(series=expect(works), total=len(works) + overestimated, threads=threads, ahead=ahead)

    shards = cut_all(planner)

    assert Counter(chain.from_iterable(shards)) == Counter(range(len(works)))
    assert all(len(shard) <= MAX_SERIES_PER_SHARD for shard in shards)


@settings(deadline=None)
@given(works=WORKS, threads=st.integers(1, 4), ahead=st.integers(32, 64))
def test_no_more_series_are_taken_from_the_manifest_than_are_in_sight(
    works: list[float | None], threads: int, ahead: int
) -> None:
    taken = 0

    def count() -> Iterator[Expected]:
        nonlocal taken
        for each in expect(works):
            taken += 1
            yield each

    planner = ShardPlanner(series=count(), total=len(works), threads=threads, ahead=ahead)
    cut = 0
    while shard := planner.next_shard():
        cut += len(shard)
        assert taken <= cut + ahead


@settings(deadline=None)
@given(works=st.lists(st.floats(0.001, 100), max_size=300), threads=st.integers(1, 40))
def test_of_the_series_in_sight_the_largest_come_first(works: list[float], threads: int) -> None:
    shards = cut_all(ShardPlanner(series=expect(works), total=len(works), threads=threads, ahead=300))

    in_order = [works[number] for shard in shards for number in shard]
    assert in_order == sorted(in_order, reverse=True)


@settings(deadline=None)
@given(works=WORKS, threads=st.integers(1, 40), ahead=st.integers(1, 400))
def test_a_shard_of_several_series_holds_no_more_work_than_a_shard_should(
    works: list[float | None], threads: int, ahead: int
) -> None:
    known = [seconds or 0.0 for seconds in works]

    for shard in cut_all(ShardPlanner(series=expect(known), total=len(known), threads=threads, ahead=ahead)):
        assert len(shard) == 1 or sum(known[number] for number in shard) <= SECONDS_PER_SHARD + 1e-6


def test_a_large_series_is_a_shard_and_many_small_ones_are_one_too() -> None:
    works = [0.8] * 4000 + [100.0] + [0.001] * 200

    shards = cut_all(ShardPlanner(series=expect(works), total=len(works), threads=4, ahead=5000))

    assert shards[0] == [4000]
    assert all(len(shard) == int(SECONDS_PER_SHARD / 0.8) for shard in shards[1:20])
    assert max(map(len, shards)) == MAX_SERIES_PER_SHARD


@settings(deadline=None)
@given(st.data())
def test_no_small_series_waits_for_ever(data: st.DataObject) -> None:
    """Of a stream of large series with a few small ones among them."""
    ahead = data.draw(st.integers(8, 40))
    small = data.draw(st.sets(st.integers(0, 799), max_size=60))
    works = [0.01 if number in small else 60.0 for number in range(800)]
    planner = ShardPlanner(series=expect(works), total=800, threads=1, ahead=ahead)

    place = {number: at for at, number in enumerate(chain.from_iterable(cut_all(planner)))}

    assert max((place[number] - number for number in small), default=0) <= (2 + OVERDUE_AFTER) * ahead


@settings(deadline=None)
@given(
    costs=st.lists(st.one_of(st.floats(0.01, 1), st.floats(0.5, 30)), min_size=1, max_size=600),
    threads=st.integers(1, 32),
    error=st.floats(0.2, 5),
)
def test_the_end_of_a_run_is_short(costs: list[float], threads: int, error: float) -> None:
    """Graham's bound for lists of the largest first, but for the floor of what is worth cutting."""
    planner = ShardPlanner(
        series=(Expected(ref_of(number), cost * error) for number, cost in enumerate(costs)),
        total=len(costs),
        threads=threads,
    )

    seconds = run_cluster(planner, costs, threads)

    least = max(sum(costs) / threads, *costs)
    assert seconds <= 4 / 3 * least + SHORTEST_SHARD * max(1 / error, 1) + 1e-6


@pytest.mark.parametrize("threads", [2, 16, 64])
def test_the_end_is_short_too_where_nothing_is_known(threads: int) -> None:
    costs = [0.1 + (number * 7919 % 1000) / 500 for number in range(5000)]
    planner = ShardPlanner(series=expect([None] * 5000), total=9000, threads=threads)

    seconds = run_cluster(planner, costs, threads)

    assert seconds <= sum(costs) / threads + 3 * max(costs)


def test_what_series_take_corrects_what_is_expected() -> None:
    """Series that take a tenth of what was expected: ten times as many go into a shard."""
    planner = ShardPlanner(series=expect([2.0] * 4000), total=4000, ahead=4000)
    shard = planner.next_shard()
    assert len(shard) == int(SECONDS_PER_SHARD / 2.0)

    planner.learn(row_of(ref, 0.2) for ref in shard)

    assert len(planner.next_shard()) == 10 * len(shard)


def test_one_series_that_hangs_does_not_make_the_others_look_slow() -> None:
    planner = ShardPlanner(series=expect([None] * 4000), total=4000, ahead=4000)
    for _ in range(20):
        shard = planner.next_shard()
        planner.learn(row_of(ref, 0.1) for ref in shard)

    shard = planner.next_shard()
    planner.learn(row_of(ref, 600.0 if ref is shard[0] else 0.1) for ref in shard)

    assert len(planner.next_shard()) == len(shard)


def test_where_nothing_is_known_the_order_is_that_of_the_manifest() -> None:
    shards = cut_all(ShardPlanner(series=expect([None] * 500), total=500, ahead=100))

    assert list(chain.from_iterable(shards)) == list(range(500))
