"""Choose the frames of a series to show: one at a position, all of a range, or a few spread evenly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dsp_batch.errors import OptionsError, SeriesError
from dsp_batch.model.series import BoolArray, FloatArray, FrameOrder, IntArray

_ROUNDING_MM = 1e-4
"""Positions that differ by up to this many mm are equal: float32 is off by as much a meter from the origin."""

_ROUNDING_SHARE = 1e-6
"""Times, InstanceNumbers and indices are equal when they differ by up to this share of their range."""


def select_position(order: FrameOrder, position: float, slice_offset: int = 0) -> int:
    """Find the frame nearest to a position along the main stack.

    Frames are compared by sort key where positions vary, by time where all frames share one position and have times,
    and by index otherwise, also where there is no main stack. Of equally near frames the earlier one is taken.

    Args:
        order: The display order of the series.
        position: Fraction of the way along the main stack, 0.0 (its first frame) to 1.0 (its last).
        slice_offset: Frames to walk from there in display order, through all stacks.

    Returns:
        Index in display order.

    Raises:
        OptionsError: The walk leaves the series; the message gives the offsets that do not.
        SeriesError: There is no frame.
    """
    ruler, rounding = _measure_position(order)
    low, high = float(ruler.min()), float(ruler.max())
    distance = np.abs(ruler - _interpolate(low, high, position))
    nearest = int(np.argmax(distance <= distance.min() + rounding))
    last = len(order.stack) - 1
    if not 0 <= nearest + slice_offset <= last:
        raise OptionsError(
            f"--slice-offset {slice_offset} leaves the series: from --position {position} "
            f"it must lie between {-nearest} and {last - nearest}"
        )
    return nearest + slice_offset


def select_range(order: FrameOrder, start: float, end: float) -> IntArray:
    """Find the frames of a closed range of the main stack.

    The range is one of positions; of InstanceNumbers where there are no positions; of indices where InstanceNumbers do
    not tell the frames apart, where all frames share one position, or where there is no main stack.

    Args:
        order: The display order of the series.
        start: Beginning of the range, 0.0 (the first frame) to 1.0 (the last).
        end: End of the range, `start` to 1.0.

    Returns:
        Indices in display order, rising, at least one.

    Raises:
        OptionsError: The range holds no frame; the message tells where the nearest ones are.
        SeriesError: There is no frame.
    """
    ruler, rounding = _measure_range(order)
    first, last = float(ruler[0]), float(ruler[-1])
    is_behind_start = ruler >= _interpolate(first, last, start) - rounding
    is_before_end = ruler <= _interpolate(first, last, end) + rounding
    selected = np.flatnonzero(is_behind_start & is_before_end)
    if not len(selected):
        below, above = ((ruler[~is_behind_start][-1], ruler[~is_before_end][0]) - ruler[0]) / (last - first)
        raise OptionsError(
            f"no frame lies between --start {start} and --end {end}: the nearest of the {len(ruler)} frames lie at "
            f"{_round_outwards(below, math.floor)} and {_round_outwards(above, math.ceil)}"
        )
    return selected


def distribute(count: int, tiles: int) -> IntArray:
    """Spread tiles evenly over frames, always the first and the last frame among them.

    Args:
        count: Number of frames.
        tiles: Number of tiles that there is room for.

    Returns:
        Indices of min(count, tiles) distinct frames, rising. A single tile shows the frame in the middle.

    Raises:
        OptionsError: There is no room for a tile.
        SeriesError: There is no frame.

    Example:
        >>> distribute(10, 4).tolist()
        [0, 3, 6, 9]
    """
    if count < 1:
        raise SeriesError("the series has no frame to show", reason="no-pixels")
    if tiles < 1:
        raise OptionsError(f"a mosaic needs 1 tile or more, not {tiles}")
    if count <= tiles:
        return np.arange(count)
    if tiles == 1:
        return np.array([count // 2])
    intervals = tiles - 1
    # i * (count - 1) / intervals rounded half up, in integers because a float may fall short of the half.
    return (2 * np.arange(tiles) * (count - 1) + intervals) // (2 * intervals)


def find_substitutes(count: int, seen: IntArray, blank: BoolArray, wanted: int) -> IntArray:
    """Find pictures to look at instead of those that turned out blank.

    Blank pictures are mostly at the ends of a range. So only the pictures beside or between filled ones are offered,
    unless none of those seen is filled: then all others are.

    Args:
        count: Number of pictures.
        seen: Ranks of the pictures that were looked at, rising, at least one.
        blank: True for each of these that is blank, shape of `seen`.
        wanted: Number of pictures to find.

    Returns:
        Ranks of pictures that were not looked at, rising, evenly spread, at most as many as are wanted.

    Example:
        >>> find_substitutes(10, np.array([0, 3, 6, 9]), np.array([True, True, False, False]), 2).tolist()
        [5, 8]
    """
    gap = np.searchsorted(seen, np.arange(count))
    is_filled = np.concatenate([[False], ~blank, [False]])
    is_near = is_filled[gap] | is_filled[gap + 1] if not blank.all() else np.ones(count, np.bool_)
    is_near[seen] = False
    near = np.flatnonzero(is_near)
    if len(near) <= wanted:
        return near
    return near[(2 * np.arange(wanted) + 1) * len(near) // (2 * wanted)]  # the middle of each of that many parts


def list_neighbours(count: int, rank: int) -> list[int]:
    """List the ranks 1, 2, 4 … before and after a rank, the nearest first: they are few even among thousands."""
    distances = [1 << power for power in range(max(count - 1, 0).bit_length())]
    around = [near for distance in distances for near in (rank - distance, rank + distance)]
    return [near for near in around if 0 <= near < count]


def _interpolate(first: float, last: float, fraction: float) -> float:
    return first + (last - first) * fraction


def _round_outwards(fraction: float, rounding: Callable[[float], int]) -> float:
    """Round to four digits so that a range that is widened as far as told reaches the frame."""
    return rounding(round(fraction * 10_000, 6)) / 10_000


def _measure_position(order: FrameOrder) -> tuple[FloatArray, float]:
    """Measure each frame that is addressed by position, time or index, and tell the largest rounding error of that."""
    count = _count_addressed(order)
    sort_key, time = order.sort_key[:count], order.time[:count]
    if order.axis[0] == "I" or not order.has_main:
        return _measure_index(count)
    if sort_key[0] < sort_key[-1]:
        return sort_key, _ROUNDING_MM
    if np.isfinite(time).all():
        return time, _ROUNDING_SHARE * float(np.ptp(time))
    return _measure_index(count)


def _measure_range(order: FrameOrder) -> tuple[FloatArray, float]:
    """Measure each frame that is addressed by position, InstanceNumber or index, in values that never fall."""
    count = _count_addressed(order)
    sort_key = order.sort_key[:count]
    if not order.has_main:
        return _measure_index(count)
    if order.axis[0] != "I":
        return (sort_key, _ROUNDING_MM) if sort_key[0] < sort_key[-1] else _measure_index(count)
    if np.isfinite(sort_key).all() and (np.diff(sort_key) > 0).all():
        return sort_key, _ROUNDING_SHARE * float(np.ptp(sort_key))
    return _measure_index(count)


def _measure_index(count: int) -> tuple[FloatArray, float]:
    return np.arange(count, dtype=np.float64), _ROUNDING_SHARE * count


def _count_addressed(order: FrameOrder) -> int:
    count = order.n_addressed
    if not count:
        raise SeriesError("the series has no frame to select", reason="no-pixels")
    return count
