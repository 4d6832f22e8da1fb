"""What holds for the display order of any series, however awkward."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from frame_tables import AXIAL, NO_ORIENTATION, SAGITTAL, make_table
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.core.order import order_frames
from dsp_batch.model.series import FrameOrder, FrameTable

coordinates = st.sampled_from([0.0, 0.004, 0.008, 0.012, 5.0, np.nan])
cosines = st.sampled_from(
    [
        AXIAL,
        (1, 0.007, 0, 0, 1, 0),
        (1, 0.014, 0, 0, 1, 0),
        (1, 0, 0, 0, 0.7071068, 0.7071067),
        SAGITTAL,
        NO_ORIENTATION,
        (0.0,) * 6,
    ]
)
few = st.sampled_from([1.0, 2.0, np.nan])


def take(table: FrameTable, entries: list[int]) -> FrameTable:
    """The same frames in another order."""
    arrays = {
        field.name: getattr(table, field.name)[entries]
        for field in fields(table)
        if field.name not in ("sop_instance_uid", "name")
    }
    texts = {key: tuple(getattr(table, key)[entry] for entry in entries) for key in ("sop_instance_uid", "name")}
    return FrameTable(**arrays, **texts)


def assert_same_order(first: FrameOrder, second: FrameOrder) -> None:
    np.testing.assert_array_equal(first.stack, second.stack)
    np.testing.assert_array_equal(first.sort_key, second.sort_key)
    np.testing.assert_array_equal(first.primary_position, second.primary_position)
    np.testing.assert_array_equal(first.time, second.time)
    assert first.axis == second.axis


@st.composite
def awkward_tables(draw: st.DrawFn) -> FrameTable:
    """Series in which ties, gaps and near misses abound."""
    count = draw(st.integers(1, 12))

    def rows(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=count, max_size=count))

    return make_table(
        count,
        position=rows(st.tuples(coordinates, coordinates, coordinates)),
        orientation=rows(cosines),
        slice_location=rows(few),
        instance_number=rows(few),
        times=rows(st.tuples(few, few, few, few, few, few)),
        sop_instance_uid=rows(st.sampled_from(["1.2", "1.10"])),
    )


@given(table=awkward_tables(), data=st.data())
@settings(deadline=None)
def test_the_order_never_depends_on_the_order_of_the_objects(table: FrameTable, data: st.DataObject) -> None:
    entries = data.draw(st.permutations(range(len(table.name))))
    first, second = order_frames(table), order_frames(take(table, entries))

    assert [entries[entry] for entry in second.permutation] == first.permutation.tolist()
    assert_same_order(first, second)


@given(table=awkward_tables())
@settings(deadline=None)
def test_every_frame_is_shown_once_and_sort_keys_rise_within_stacks(table: FrameTable) -> None:
    order = order_frames(table)

    assert sorted(order.permutation.tolist()) == list(range(len(table.name)))
    sizes = np.bincount(order.stack)
    assert (np.diff(order.stack) >= 0).all()
    assert order.has_main == (2 * sizes.max() > len(table.name))
    assert order.n_addressed == (sizes.max() if order.has_main else len(table.name))
    assert sizes[0] == sizes.max() or not order.has_main
    lowest = [_lowest_number(table, order, stack) for stack in range(int(order.has_main), len(sizes))]
    assert lowest == sorted(lowest)
    for stack in range(len(sizes)):
        steps = np.diff(order.sort_key[order.stack == stack])
        assert ((steps == 0) | (steps >= 0.01) | np.isnan(steps)).all()


def _lowest_number(table: FrameTable, order: FrameOrder, stack: int) -> float:
    numbers = table.instance_number[order.permutation[order.stack == stack]]
    return float(np.nan_to_num(numbers, nan=np.inf).min())


@given(
    angles=st.tuples(st.floats(-np.pi, np.pi), st.floats(-np.pi, np.pi), st.floats(-np.pi, np.pi)),
    spacing_mm=st.floats(0.02, 10),
    data=st.data(),
)
@settings(deadline=None)
def test_a_stack_however_it_is_turned_is_shown_along_its_normal(
    angles: tuple[float, float, float], spacing_mm: float, data: st.DataObject
) -> None:
    rotation = np.eye(3)
    for angle, (first, second) in zip(angles, [(0, 1), (1, 2), (0, 1)], strict=True):
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    depth = data.draw(st.permutations(range(7)))
    position = np.array([-100, 50, 700]) + np.outer(depth, rotation[:, 2]) * spacing_mm

    order = order_frames(make_table(7, position=position, orientation=rotation[:, :2].T.ravel()))

    shown_depth = [depth[entry] for entry in order.permutation]
    assert shown_depth in (list(range(7)), list(range(6, -1, -1)))
    np.testing.assert_allclose(np.diff(order.sort_key), spacing_mm)
    axis = order.axis[0]
    assert abs(rotation["XYZ".index(axis), 2]) >= np.abs(rotation[:, 2]).max() - 0.001
    rises = order.primary_position[-1] > order.primary_position[0]
    assert rises == (axis == "X")


def test_the_table_is_not_modified() -> None:
    table = make_table(3, position=[(0, 0, 1), (0, np.nan, 2), (0, 0, 3)], orientation=[AXIAL, AXIAL, (0,) * 6])
    copy = replace(table, **{name: getattr(table, name).copy() for name in ("position", "orientation", "times")})

    order_frames(table)

    for name in ("position", "orientation", "times"):
        np.testing.assert_array_equal(getattr(table, name), getattr(copy, name))


def test_a_very_long_series_of_ever_new_orientations_is_ordered() -> None:
    count = 92_000
    angle = np.random.default_rng(1).permutation(count) / count * np.pi
    zero = np.zeros(count)
    orientation = np.column_stack([zero + 1, zero, zero, zero, np.cos(angle), np.sin(angle)])

    order = order_frames(make_table(count, position=(0, 0, 0), orientation=orientation, instance_number=range(count)))

    assert sorted(order.permutation.tolist()) == list(range(count))
    assert (np.diff(order.stack) >= 0).all()
    shown_angle = angle[order.permutation]
    edges = np.flatnonzero(np.diff(order.stack)) + 1
    assert max(np.ptp(part) for part in np.split(shown_angle, edges)) < 0.1
