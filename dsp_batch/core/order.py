"""Put frames in display order by their positions in the patient."""

from __future__ import annotations

import numpy as np

from dsp_batch.errors import SeriesError
from dsp_batch.model.series import AxisName, FloatArray, FrameOrder, FrameTable, IntArray

_ORIENTATION_TOLERANCE = 0.01
"""Largest difference between direction cosines of one orientation: half a degree, as motion correction may turn a
volume between two of its times."""

_AXIS_TOLERANCE = 1e-3
"""Components of a normal that differ by no more than this are equally dominant: scanners write four to six digits."""

_POSITION_TOLERANCE_MM = 0.01
"""Positions that are closer together than this, in mm, count as one position."""

_SMALLEST_AREA = 0.01
"""Least area that row and column cosines must span to have a slice normal. Orthonormal ones span an area of 1."""

_AXES: tuple[AxisName, ...] = ("X", "Y", "Z", "I")

_AXIS_SIGNS = np.array([1.0, -1.0, -1.0])
"""Direction of display on each patient axis (LPS, PS3.3 C.7.6.2.1.1): right to left, posterior to anterior, superior to
inferior, so that x rises, y falls and z falls."""

_BY_POSITION, _BY_SLICE_LOCATION, _BY_INSTANCE_NUMBER = range(3)
"""Criteria that a frame may be sorted by. Each frame takes the first one that it has."""


def order_frames(table: FrameTable) -> FrameOrder:
    """Put the frames of a series in display order: stack by stack, each from head to feet.

    A stack holds the frames that have one orientation and are sorted by the same thing: by position, by SliceLocation
    alone, or by InstanceNumber. The one that holds more than half of the frames is the main stack and comes first;
    where none does, the stacks follow one another by their lowest InstanceNumber. The order of the table's entries
    never matters.

    Args:
        table: Where and when each frame was taken, at least one. Not modified.

    Returns:
        The display order. Frames closer than 0.01 mm along the sort key share one sort key.

    Raises:
        SeriesError: The table has no frame.

    References:
        DICOM PS3.3 C.7.6.2.1.1 (Image Position and Image Orientation), C.7.6.2.1.2 (Slice Location).
    """
    if not len(table.frame):
        raise SeriesError("the series has no frame to put in order", reason="no-pixels")
    position, slice_location = _keep_finite(table.position), _keep_finite(table.slice_location)
    instance_number = _keep_finite(table.instance_number)
    criterion = _choose_criteria(position, slice_location)
    tie_rank = _rank_ties(table)
    group, orientations = _group_orientations(criterion, _keep_usable(table.orientation))
    main = _find_main(group)
    stack = _number_stacks(group, tie_rank, main)
    axis_of_group, directions = _find_directions(orientations, position, group)

    axis = np.choose(criterion, [axis_of_group[group], _AXES.index("Z"), _AXES.index("I")])
    on_axis = position[np.arange(len(group)), axis_of_group[group]]
    along_normal = (position * directions[group]).sum(axis=1)
    sort_key = _merge_positions(stack, np.choose(criterion, [along_normal, -slice_location, instance_number]))
    permutation = np.lexsort((tie_rank, sort_key, stack))
    return FrameOrder(
        permutation=permutation,
        stack=stack[permutation],
        sort_key=sort_key[permutation],
        axis=tuple(_AXES[index] for index in axis[permutation].tolist()),
        primary_position=np.choose(criterion, [on_axis, slice_location, instance_number])[permutation],
        time=_choose_time(table.times, stack == 0)[permutation],
        has_main=main is not None,
    )


def _keep_finite(values: FloatArray) -> FloatArray:
    """Replace numbers, or rows with a number, that are not finite by NaN."""
    finite = np.isfinite(values)
    whole = finite.all(axis=1, keepdims=True) if values.ndim == 2 else finite
    return np.where(whole, values, np.nan).astype(np.float64)


def _keep_usable(orientation: FloatArray) -> FloatArray:
    """Replace orientations that have no slice normal by zeros."""
    cosines = _keep_finite(orientation)
    with np.errstate(over="ignore", invalid="ignore"):  # numbers that are no cosines may overflow
        area = np.linalg.norm(np.cross(cosines[:, :3], cosines[:, 3:]), axis=1)
    usable = np.isfinite(area) & (area >= _SMALLEST_AREA)
    return np.where(usable[:, np.newaxis], cosines, 0.0)


def _choose_criteria(position: FloatArray, slice_location: FloatArray) -> IntArray:
    """Choose what each frame is sorted by."""
    without_position = np.where(np.isfinite(slice_location), _BY_SLICE_LOCATION, _BY_INSTANCE_NUMBER)
    return np.where(np.isfinite(position[:, 0]), _BY_POSITION, without_position)


def _rank_ties(table: FrameTable) -> IntArray:
    """Rank all frames by what breaks ties; no two frames share a rank, because name and frame tell them apart."""
    order = np.lexsort(
        (
            table.frame,
            _rank_texts(table.name),
            _rank_texts(table.sop_instance_uid),
            *table.times.T[::-1],
            table.instance_number,  # the last key is compared first; NaN sorts after every number
        )
    )
    return _invert(order)


def _rank_texts(texts: tuple[str, ...]) -> IntArray:
    ranks = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    return np.fromiter((ranks[text] for text in texts), dtype=np.int64, count=len(texts))


def _invert(permutation: IntArray) -> IntArray:
    ranks = np.empty(len(permutation), dtype=np.int64)
    ranks[permutation] = np.arange(len(permutation))
    return ranks


def _group_orientations(criterion: IntArray, orientation: FloatArray) -> tuple[IntArray, FloatArray]:
    """Group the frames that have one orientation and are sorted by the same thing.

    Returns:
        The group of each frame, shape (n,), and the commonest orientation of each group, shape (groups, 6).
    """
    rows = np.column_stack([criterion, orientation])
    # The column that varies most goes first: the scan for neighbours then looks at few rows, even where every frame of
    # a rotating acquisition has an orientation of its own.
    widest = 1 + int(np.argmax(np.ptp(orientation, axis=0)))
    order = np.lexsort((*rows.T, rows[:, widest]))
    sorted_rows = rows[order]
    is_new = np.append(True, (sorted_rows[1:] != sorted_rows[:-1]).any(axis=1))
    distinct = sorted_rows[is_new]
    entry = (np.cumsum(is_new) - 1)[_invert(order)]
    group = _label_neighbours(distinct, widest)
    by_count = np.lexsort((-np.bincount(entry), group))
    _, commonest = np.unique(group[by_count], return_index=True)
    return group[entry], distinct[by_count[commonest], 1:]


def _label_neighbours(rows: FloatArray, sorted_column: int) -> IntArray:
    """Give each row the label of the first row before it that it differs from by no more than the tolerance."""
    labels = np.full(len(rows), -1, dtype=np.int64)
    stops = np.searchsorted(rows[:, sorted_column], rows[:, sorted_column] + _ORIENTATION_TOLERANCE, side="right")
    label = 0
    for start, stop in enumerate(stops.tolist()):
        if labels[start] >= 0:
            continue
        near = (np.abs(rows[start:stop] - rows[start]) <= _ORIENTATION_TOLERANCE).all(axis=1)
        labels[start:stop][near & (labels[start:stop] < 0)] = label
        label += 1
    return labels


def _find_main(group: IntArray) -> int | None:
    """Find the group that holds more than half of the frames.

    Localizers in three planes, rotating projections and the slabs of a spine have none.
    """
    sizes = np.bincount(group)
    largest = int(np.argmax(sizes))
    return largest if 2 * sizes[largest] > len(group) else None


def _number_stacks(group: IntArray, tie_rank: IntArray, main: int | None) -> IntArray:
    """Number the groups: the main one 0, the others by their lowest InstanceNumber."""
    first_rank = np.full(int(group.max()) + 1, len(group))
    np.minimum.at(first_rank, group, tie_rank)
    if main is not None:
        first_rank[main] = -1
    return _invert(np.argsort(first_rank))[group]


def _find_directions(orientations: FloatArray, position: FloatArray, group: IntArray) -> tuple[IntArray, FloatArray]:
    """Find the primary axis of each group, shape (groups,), and the unit vector its frames are shown along."""
    normals = np.cross(orientations[:, :3], orientations[:, 3:])
    for index in np.flatnonzero(~normals.any(axis=1)):  # at most one group for each criterion
        extent_mm = np.ptp(position[group == index], axis=0)
        normals[index] = np.eye(3)[_find_largest(extent_mm, _POSITION_TOLERANCE_MM)]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    axis = _find_largest(np.abs(normals), _AXIS_TOLERANCE)
    on_axis = normals[np.arange(len(axis)), axis]
    return axis, normals * (np.sign(on_axis) * _AXIS_SIGNS[axis])[:, np.newaxis]


def _find_largest(components: FloatArray, tolerance: float) -> IntArray:
    """Find the axis of the largest component. Z goes before Y before X where some are nearly equal or all are NaN."""
    near = components >= components.max(axis=-1, keepdims=True) - tolerance
    axis: IntArray = 2 - np.argmax(near[..., ::-1], axis=-1)
    return axis


def _merge_positions(stack: IntArray, key: FloatArray) -> FloatArray:
    """Give frames of a stack that are closer than the tolerance to the first of them the key of that first one."""
    order = np.lexsort((key, stack))
    sorted_key = key[order]
    is_gap = ~(np.diff(sorted_key) < _POSITION_TOLERANCE_MM) | (np.diff(stack[order]) != 0)
    starts = np.append(0, np.flatnonzero(is_gap) + 1)
    stops = np.append(starts[1:], len(key))
    is_wide = sorted_key[stops - 1] - sorted_key[starts] >= _POSITION_TOLERANCE_MM
    splits = [_split_run(sorted_key, start, stop) for start, stop in zip(starts[is_wide], stops[is_wide], strict=True)]
    firsts = np.sort(np.concatenate([starts, *splits]))
    merged = np.repeat(sorted_key[firsts], np.diff(np.append(firsts, len(key))))
    return merged[_invert(order)]


def _split_run(key: FloatArray, start: int, stop: int) -> IntArray:
    """Split a run without gaps into positions; returns where the second, third … of them begins."""
    firsts = []
    first = start
    while (first := first + int(np.searchsorted(key[first:stop], key[first] + _POSITION_TOLERANCE_MM))) < stop:
        firsts.append(first)
    return np.array(firsts, dtype=np.int64)


def _choose_time(times: FloatArray, is_main: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
    """Choose the first kind of time that tells frames of the main stack apart and that none of them lacks."""
    main_times = _keep_finite(times.ravel()).reshape(times.shape)[is_main]
    usable = np.ptp(main_times, axis=0) > 0  # false where any is NaN
    return times[:, int(np.argmax(usable))] if usable.any() else np.full(len(times), np.nan)
