import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dsp_batch.model.ranges import ByteRange
from dsp_batch.storage.reading import MAX_GAP, cut_parts, merge_ranges

_OBJECT = bytes(index * 31 % 251 for index in range(60_000))
_bounds = st.integers(-5, len(_OBJECT) + 20_000)
_ranges = st.lists(st.builds(ByteRange, _bounds, _bounds), max_size=12)


@given(ranges=_ranges, size=st.sampled_from([None, len(_OBJECT)]))
def test_parts_are_the_slices_asked_for(ranges: list[ByteRange], size: int | None) -> None:
    merged = merge_ranges(ranges, size)
    answers = {each: _OBJECT[each.start : each.stop] for each in merged}

    assert cut_parts(ranges, answers) == [_OBJECT[max(each.start, 0) : max(each.stop, 0)] for each in ranges]


@given(ranges=_ranges)
def test_requests_are_apart_and_inside_the_object(ranges: list[ByteRange]) -> None:
    merged = merge_ranges(ranges, len(_OBJECT))

    assert all(0 <= each.start < each.stop <= len(_OBJECT) for each in merged)
    assert all(after.start - before.stop > MAX_GAP for before, after in pairwise(merged))


def test_near_ranges_become_one_request_and_far_ones_do_not() -> None:
    near = [ByteRange(9000, 9100), ByteRange(0, 1000)]

    assert merge_ranges(near, None) == [ByteRange(0, 9100)]
    assert merge_ranges([*near, ByteRange(20_000, 20_010)], None) == [ByteRange(0, 9100), ByteRange(20_000, 20_010)]


def test_nothing_is_asked_for_behind_a_known_end() -> None:
    assert merge_ranges([ByteRange(10, 20), ByteRange(500, 600)], 10) == []


def test_scattered_ranges_are_cut_without_looking_at_all_answers_for_each() -> None:
    ranges = [ByteRange(at * 10_000, at * 10_000 + 10) for at in range(20_000)]
    answers = {each: bytes(10) for each in reversed(ranges)}

    begin = time.process_time()
    parts = cut_parts([ByteRange(start + 2, stop) for start, stop in ranges], answers)

    assert parts == [bytes(8)] * len(ranges)
    assert time.process_time() - begin < 2
