"""Positions, ranges and even distribution."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dsp_batch.core.selection import distribute, select_position, select_range
from dsp_batch.errors import OptionsError, SeriesError
from dsp_batch.model.series import AxisName, FrameOrder


def make_order(
    sort_key: Sequence[float], *, axis: AxisName = "Z", time: Sequence[float] | None = None, localizers: int = 0
) -> FrameOrder:
    """A main stack with these sort keys, and a stack of localizers behind it."""
    count = len(sort_key) + localizers
    keys = np.array([*sort_key, *range(-500, -500 + localizers)], dtype=float)
    return FrameOrder(
        permutation=np.arange(count),
        stack=np.repeat([0, 1], [len(sort_key), localizers]),
        sort_key=keys,
        axis=(axis,) * len(sort_key) + ("X",) * localizers,
        primary_position=-keys,
        time=np.array([*time, *[np.nan] * localizers]) if time else np.full(count, np.nan),
    )


sort_keys = st.lists(st.integers(-2000, 2000), min_size=1, max_size=40).map(sorted)
fractions = st.floats(0, 1)


def test_half_of_a_stack_is_half_of_its_length() -> None:
    z = np.linspace(-488, -792, 181)

    assert z[select_position(make_order(-z), 0.5)] == pytest.approx(-640)


@pytest.mark.parametrize(("position", "expected"), [(0, 0), (0.04, 0), (0.06, 1), (0.54, 1), (0.56, 2), (1, 2)])
def test_the_nearest_frame_is_nearest_in_millimetres_and_not_by_count(position: float, expected: int) -> None:
    assert select_position(make_order([0, 10, 100], localizers=3), position) == expected


@pytest.mark.parametrize(
    ("order", "position"),
    [
        (make_order([0, 1, 2, 3]), 0.5),
        (make_order([0.1, 0.2, 0.3, 0.4]), 0.5),
        (make_order([700.1, 700.7, 701.3, 701.9]), 0.5),
        (make_order(np.float32([-702.8, -701.9, -701, -700.1])), 0.5),
        (make_order([1, 2, 3, 4], axis="I"), 0.5),
        (make_order([7.0] * 4, time=[0.1, 0.2, 0.3, 0.4]), 0.5),
        (make_order([7.0] * 4), 0.5),
    ],
)
def test_of_two_equally_near_frames_the_earlier_one_is_taken(order: FrameOrder, position: float) -> None:
    assert select_position(order, position) == 1


def test_rounding_errors_do_not_decide_between_equally_near_indices() -> None:
    order = make_order(range(101), axis="I")

    assert [select_position(order, (index + 0.5) / 100) for index in range(100)] == list(range(100))


def test_where_frames_share_the_chosen_position_the_first_is_taken() -> None:
    order = make_order([0, 0, 0, 5, 5, 5, 10, 10, 10], time=[1, 2, 3, 1, 2, 3, 1, 2, 3])

    assert [select_position(order, position) for position in (0, 0.4, 1)] == [0, 3, 6]


def test_where_all_frames_share_one_position_the_nearest_in_time_is_taken() -> None:
    order = make_order([7.0] * 4, time=[1000, 1001, 1002, 1010], localizers=2)

    assert [select_position(order, position) for position in (0, 0.1, 0.2, 0.7, 1)] == [0, 1, 2, 3, 3]


def test_where_all_frames_share_one_position_and_no_time_is_known_the_nearest_by_count_is_taken() -> None:
    order = make_order([7.0] * 5)

    assert [select_position(order, position) for position in (0, 0.3, 0.7, 1)] == [0, 1, 3, 4]


def test_without_positions_the_nearest_by_count_is_taken_whatever_the_instance_numbers() -> None:
    order = make_order([1, 2, 3, 4, 1000], axis="I", time=[1, 2, 3, 4, 1000])

    assert [select_position(order, position) for position in (0, 0.3, 0.5, 1)] == [0, 1, 2, 4]


def test_an_offset_walks_through_all_stacks() -> None:
    order = make_order([0, 1, 2], localizers=2)

    assert [select_position(order, 0.5, offset) for offset in (-1, 0, 1, 2, 3)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("offset", [-2, 4])
def test_an_offset_out_of_the_series_is_refused_with_the_offsets_that_are_valid(offset: int) -> None:
    with pytest.raises(OptionsError, match="between -1 and 3"):
        select_position(make_order([0, 1, 2], localizers=2), 0.5, offset)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 1, [0, 1, 2, 3]), (0.1, 1, [1, 2, 3]), (0.1, 0.2, [1, 2]), (0.11, 0.2, [2]), (0, 0, [0]), (1, 1, [3])],
)
def test_a_range_is_closed_and_measured_in_millimetres(start: float, end: float, expected: list[int]) -> None:
    assert select_range(make_order([0, 10, 20, 100], localizers=3), start, end).tolist() == expected


@pytest.mark.parametrize("spacing_mm", [0.1, 0.7])
def test_a_range_keeps_the_frames_on_its_ends_in_spite_of_rounding_errors(spacing_mm: float) -> None:
    order = make_order([0.3 + spacing_mm * index for index in range(11)])

    for index in range(11):
        assert select_range(order, index / 10, index / 10).tolist() == [index]


def test_a_range_takes_all_frames_of_a_position() -> None:
    assert select_range(make_order([0, 0, 5, 5, 10, 10]), 0.5, 1).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(("axis", "sort_key"), [("Z", 7.0), ("I", 7.0), ("I", np.nan)])
def test_any_range_of_one_frame_holds_it(axis: AxisName, sort_key: float) -> None:
    assert select_range(make_order([sort_key], axis=axis), 0.3, 0.4).tolist() == [0]


def test_without_positions_a_range_is_one_of_instance_numbers() -> None:
    assert select_range(make_order([1, 2, 3, 4, 101], axis="I"), 0, 0.5).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("numbers", [[1, 2, 2, 4, 101], [1, 2, 3, 4, np.nan], [np.nan] * 5, [1] * 5])
def test_instance_numbers_that_do_not_tell_frames_apart_make_a_range_one_of_indices(numbers: list[float]) -> None:
    assert select_range(make_order(numbers, axis="I"), 0.25, 0.75).tolist() == [1, 2, 3]


def test_where_all_frames_share_one_position_a_range_is_one_of_indices() -> None:
    assert select_range(make_order([7.0] * 5, time=[1, 2, 3, 4, 100]), 0, 0.5).tolist() == [0, 1, 2]


def test_an_empty_range_is_refused_with_where_the_nearest_frames_are() -> None:
    with pytest.raises(OptionsError, match=r"nearest of the 4 frames lie at 0\.3333 and 0\.6667"):
        select_range(make_order([0, 10, 20, 30], localizers=2), 0.4, 0.6)
    with pytest.raises(OptionsError, match=r"nearest of the 3 frames lie at 0\.57 and 1\.0"):
        select_range(make_order([0, 57, 100]), 0.6, 0.7)


@pytest.mark.parametrize("select", [lambda order: select_position(order, 0.5), lambda order: select_range(order, 0, 1)])
def test_nothing_can_be_selected_of_no_frames(
    select: Callable[[FrameOrder], object],
) -> None:
    with pytest.raises(SeriesError, match="no frame"):
        select(make_order([]))


@pytest.mark.parametrize(
    ("count", "tiles", "expected"),
    [
        (5, 9, [0, 1, 2, 3, 4]),
        (5, 5, [0, 1, 2, 3, 4]),
        (10, 4, [0, 3, 6, 9]),
        (6, 3, [0, 3, 5]),
        (8, 3, [0, 4, 7]),
        (4, 1, [2]),
        (5, 1, [2]),
        (1, 1, [0]),
        (181, 2, [0, 180]),
    ],
)
def test_tiles_are_spread_evenly(count: int, tiles: int, expected: list[int]) -> None:
    assert distribute(count, tiles).tolist() == expected


@given(count=st.integers(2, 100_000), tiles=st.integers(2, 400))
def test_every_tile_is_the_frame_at_its_even_share_rounded_half_up(count: int, tiles: int) -> None:
    assume(tiles < count)

    frames = distribute(count, tiles).tolist()

    shares = [Fraction(tile * (count - 1), tiles - 1) for tile in range(tiles)]
    assert all(Fraction(-1, 2) < frame - share <= Fraction(1, 2) for frame, share in zip(frames, shares, strict=True))
    assert len(set(frames)) == tiles
    assert (frames[0], frames[-1]) == (0, count - 1)


def test_distribution_refuses_no_frames_and_no_tiles() -> None:
    with pytest.raises(SeriesError, match="no frame"):
        distribute(0, 4)
    with pytest.raises(OptionsError, match="1 tile or more"):
        distribute(4, 0)


@given(keys=sort_keys, position=fractions)
def test_no_frame_is_nearer_than_the_selected_one(keys: list[int], position: float) -> None:
    assume(len(set(keys)) > 1)

    selected = select_position(make_order(keys), position)

    target = Fraction(keys[0]) + (keys[-1] - keys[0]) * Fraction(position)
    distances = [abs(key - target) for key in keys]
    assert distances[selected] <= min(distances) + Fraction(1, 1000)
    assert keys.index(keys[selected]) == selected


@given(keys=sort_keys, axis=st.sampled_from(["Z", "I"]), bounds=st.tuples(fractions, fractions).map(sorted))
def test_frames_of_a_range_are_consecutive_and_a_range_that_is_refused_can_be_widened_as_told(
    keys: list[int], axis: AxisName, bounds: list[float]
) -> None:
    order = make_order(keys, axis=axis)
    try:
        selected = select_range(order, *bounds)
    except OptionsError as error:
        below, above = map(float, re.findall(r"lie at (\S+) and (\S+)", error.message)[0])
        assert below <= bounds[0] <= bounds[1] <= above
        assert len(select_range(order, below, bounds[1]))
        assert len(select_range(order, bounds[0], above))
    else:
        assert len(selected)
        assert (np.diff(selected) == 1).all()


@given(keys=sort_keys, axis=st.sampled_from(["Z", "I"]))
def test_the_whole_range_is_the_whole_main_stack(keys: list[int], axis: AxisName) -> None:
    assert select_range(make_order(keys, axis=axis, localizers=2), 0, 1).tolist() == list(range(len(keys)))


@given(sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5), position=fractions)
def test_without_a_main_stack_all_frames_are_addressed_by_index(sizes: list[int], position: float) -> None:
    count = sum(sizes)
    order = replace(
        make_order(range(count)),
        stack=np.repeat(np.arange(len(sizes)), sizes),
        sort_key=np.concatenate([np.arange(size) * 1000.0 for size in sizes]),
        has_main=False,
    )

    assert select_range(order, 0.0, 1.0).tolist() == list(range(count))
    assert abs(select_position(order, position) - position * (count - 1)) <= 0.5 + 1e-5 * count
