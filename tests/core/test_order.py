"""Display order: stacks, direction, ties."""

from __future__ import annotations

import numpy as np
import pytest
from frame_tables import AXIAL, CORONAL, NO_ORIENTATION, NOWHERE, SAGITTAL, make_table

from dsp_batch.core.order import order_frames
from dsp_batch.errors import SeriesError
from dsp_batch.model.series import FrameTable


def shown(table: FrameTable) -> list[int]:
    return order_frames(table).permutation.tolist()


@pytest.mark.parametrize(
    ("axis", "orientation", "expected"),
    [
        ("Z", AXIAL, [30, 20, 10]),
        ("Z", (-1, 0, 0, 0, 1, 0), [30, 20, 10]),
        ("Y", CORONAL, [30, 20, 10]),
        ("Y", (-1, 0, 0, 0, 0, -1), [30, 20, 10]),
        ("X", SAGITTAL, [10, 20, 30]),
        ("X", (0, -1, 0, 0, 0, -1), [10, 20, 30]),
    ],
)
def test_stacks_run_from_head_from_back_and_from_right_whichever_way_the_normal_points(
    axis: str, orientation: tuple[float, ...], expected: list[float]
) -> None:
    position = np.full((3, 3), 7.0)
    position[:, "XYZ".index(axis)] = [20, 30, 10]

    order = order_frames(make_table(3, position=position, orientation=orientation))

    assert order.primary_position.tolist() == expected
    assert order.axis == (axis,) * 3
    assert (np.diff(order.sort_key) == 10).all()


def test_an_oblique_stack_goes_by_the_dominant_axis_of_its_normal() -> None:
    cosine, sine = np.cos(np.radians(30)), np.sin(np.radians(30))
    normal = np.array([0, -sine, cosine])
    position = np.array([50, 60, 70]) + np.outer([0, 4, 2], normal)

    order = order_frames(make_table(3, position=position, orientation=(1, 0, 0, 0, cosine, sine)))

    assert order.permutation.tolist() == [1, 2, 0]
    np.testing.assert_allclose(np.diff(order.sort_key), 2)
    np.testing.assert_array_equal(order.primary_position, position[[1, 2, 0], 2])


def test_a_tilted_gantry_sorts_along_the_normal_and_not_along_the_table() -> None:
    tilt = np.radians(18.5)
    position = [(0, 0, -3), (0, 0, -6), (0, 0, 0)]

    order = order_frames(make_table(3, position=position, orientation=(1, 0, 0, 0, np.cos(tilt), np.sin(tilt))))

    assert order.permutation.tolist() == [2, 0, 1]
    np.testing.assert_allclose(np.diff(order.sort_key), 3 * np.cos(tilt))


@pytest.mark.parametrize("error", [-1e-7, 0, 1e-7])
@pytest.mark.parametrize(
    ("normal", "axis"), [((0, 1, 1), "Z"), ((1, 0, 1), "Z"), ((1, 1, 0), "Y"), ((1, -1, 1), "Z"), ((-1, 1, 0), "Y")]
)
def test_of_two_equally_dominant_axes_rounding_does_not_choose(
    normal: tuple[float, ...], axis: str, error: float
) -> None:
    unit = np.array(normal) / np.linalg.norm(normal)
    row = np.cross(unit, (0.3, 0.5, 0.7))
    row /= np.linalg.norm(row)
    orientation = np.concatenate([row, np.cross(unit, row)]) + error * np.arange(6)

    order = order_frames(make_table(2, position=[unit, -unit], orientation=orientation))

    assert order.axis == (axis, axis)
    assert order.primary_position[0] > order.primary_position[1]


@pytest.mark.parametrize(
    ("position", "axis", "expected"),
    [
        ([(0, 5, 1), (1, 15, 2), (2, 10, 3)], "Y", [15, 10, 5]),
        ([(5, 0, 1), (15, 1, 2), (10, 2, 3)], "X", [5, 10, 15]),
        ([(0, 1, 5), (1, 2, 15), (2, 3, 10)], "Z", [15, 10, 5]),
        ([(10, 10, 10), (20, 20, 20), (30.005, 30.002, 30)], "Z", [30, 20, 10]),
    ],
)
def test_without_orientation_the_axis_of_the_largest_range_counts(
    position: list[tuple[float, ...]], axis: str, expected: list[float]
) -> None:
    order = order_frames(make_table(3, position=position))

    assert order.axis == (axis,) * 3
    assert order.primary_position.tolist() == expected


@pytest.mark.parametrize(
    "orientation",
    [
        NO_ORIENTATION,
        (0, 0, 0, 0, 0, 0),
        (1, 0, 0, 1, 0, 0),
        (1, 0, 0, 1, 1e-6, 0),
        (1, 0, 0, 0, 1, np.nan),
        (1, 0, 0, 0, np.inf, 0),
        (1e300, 0, 0, 0, 1e300, 0),
    ],
)
def test_an_orientation_without_a_normal_counts_as_absent(orientation: tuple[float, ...]) -> None:
    mixed = np.array([orientation, NO_ORIENTATION, orientation])

    order = order_frames(make_table(3, position=[(0, 2, 0), (0, 4, 0), (0, 6, 0)], orientation=mixed))

    assert order.stack.tolist() == [0, 0, 0]
    assert order.axis == ("Y",) * 3
    assert order.primary_position.tolist() == [6, 4, 2]


def test_without_position_slice_location_falls_on_axis_z() -> None:
    order = order_frames(make_table(3, orientation=SAGITTAL, slice_location=[-1, 5, 2]))

    assert order.axis == ("Z",) * 3
    assert order.primary_position.tolist() == [5, 2, -1]
    assert order.sort_key.tolist() == [-5, -2, 1]


def test_without_any_place_instance_number_rises_and_its_absence_comes_last() -> None:
    order = order_frames(make_table(4, instance_number=[3, np.nan, 1, 2]))

    assert order.axis == ("I",) * 4
    np.testing.assert_array_equal(order.primary_position, [1, 2, 3, np.nan])
    np.testing.assert_array_equal(order.sort_key, [1, 2, 3, np.nan])


@pytest.mark.parametrize("coordinate", [np.nan, np.inf, -np.inf])
def test_a_position_that_is_not_finite_is_no_position(coordinate: float) -> None:
    table = make_table(2, position=(1, 2, coordinate), slice_location=[np.inf, np.inf], instance_number=[8, 7])

    order = order_frames(table)

    assert order.axis == ("I", "I")
    assert order.primary_position.tolist() == [7, 8]


def test_ties_go_by_instance_number_then_times_then_uid_then_name_then_frame() -> None:
    columns = {
        "instance_number": [9, 1, 1, 1, 1, 1, 1, 1],
        "times": [
            (0, 0, 0, 0, 0, 0),
            (2, 0, 0, 0, 0, 0),
            (1, 5, 0, 0, 0, 0),
            (1, 4, 0, 0, 0, 9),
            (1, 4, 0, 0, 0, 8),
            (1, 4, 0, 0, 0, 8),
            (1, 4, 0, 0, 0, 8),
            (1, 4, 0, 0, 0, 8),
        ],
        "sop_instance_uid": ["1", "1", "1", "1", "1.3", "1.2", "1.2", "1.2"],
        "name": ["a", "a", "a", "a", "a", "b", "a", "a"],
        "frame": [0, 0, 0, 0, 0, 0, 1, 0],
    }

    assert shown(make_table(8, position=(0, 0, 0), orientation=AXIAL, **columns)) == [7, 6, 5, 4, 3, 2, 1, 0]


def test_a_missing_time_sorts_behind_every_time() -> None:
    times = np.full((3, 6), np.nan)
    times[:, 3] = [np.nan, 70_000, 50_000]

    assert shown(make_table(3, instance_number=1, times=times)) == [2, 1, 0]


def test_frames_of_one_object_stay_in_order_where_nothing_else_tells_them_apart() -> None:
    table = make_table(4, frame=[3, 1, 0, 2], instance_number=1, sop_instance_uid=["1"] * 4, name=["a"] * 4)

    assert shown(table) == [2, 1, 3, 0]


def test_volumes_of_a_time_series_interleave_by_position() -> None:
    position = [(0, 0, z) for _ in range(3) for z in (10, 5)]

    order = order_frames(make_table(6, position=position, orientation=AXIAL, instance_number=np.arange(6)))

    assert order.permutation.tolist() == [0, 2, 4, 1, 3, 5]
    assert order.sort_key.tolist() == [-10, -10, -10, -5, -5, -5]


def test_positions_closer_than_a_hundredth_millimetre_are_one_and_do_not_chain() -> None:
    depth = np.array([0, 0.004, 0.008, 0.012, 0.016, 0.020])
    position = np.column_stack([depth * 0, depth * 0, -depth])

    order = order_frames(make_table(6, position=position, orientation=AXIAL, instance_number=[3, 2, 1, 3, 2, 1]))

    assert order.sort_key.tolist() == [0, 0, 0, 0.012, 0.012, 0.012]
    assert order.permutation.tolist() == [2, 1, 0, 5, 4, 3]


def test_positions_a_hundredth_millimetre_apart_stay_apart() -> None:
    position = [(0, 0, 0.02 * entry) for entry in range(5)]

    order = order_frames(make_table(5, position=position, orientation=AXIAL, instance_number=range(5)))

    assert order.permutation.tolist() == [4, 3, 2, 1, 0]


def test_localizers_follow_the_stack_of_more_than_half_of_the_frames() -> None:
    table = make_table(
        7,
        position=[(0, 0, z) for z in (100, 1, 90, 2, 80, 3, 4)],
        orientation=[CORONAL, AXIAL, SAGITTAL, AXIAL, CORONAL, AXIAL, AXIAL],
        instance_number=[2, 4, 1, 5, 3, 6, 7],
    )

    order = order_frames(table)

    assert (order.has_main, order.n_addressed) == (True, 4)
    assert order.stack.tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert order.axis == ("Z", "Z", "Z", "Z", "X", "Y", "Y")
    assert order.permutation.tolist() == [6, 5, 3, 1, 2, 0, 4]


def test_a_stack_of_half_of_the_frames_is_no_main_stack() -> None:
    table = make_table(
        4,
        position=[(0, 0, 100), (0, 0, 1), (0, 0, 90), (0, 0, 2)],
        orientation=[CORONAL, AXIAL, SAGITTAL, AXIAL],
        instance_number=[2, 4, 1, 5],
    )

    order = order_frames(table)

    assert (order.has_main, order.n_addressed) == (False, 4)
    assert "".join(order.axis) == "XYZZ"


@pytest.mark.parametrize(
    ("instance_number", "axes"),
    [([np.nan, 9, 5, 6, 7, 8], "XZY"), ([4, 9, 5, 6, 3, 8], "YZX"), ([2, np.nan, 9, np.nan, np.nan, 8], "ZXY")],
)
def test_without_a_main_stack_stacks_follow_one_another_by_their_lowest_instance_number(
    instance_number: list[float], axes: str
) -> None:
    table = make_table(
        6,
        position=np.arange(18).reshape(6, 3),
        orientation=[AXIAL, CORONAL, SAGITTAL] * 2,
        instance_number=instance_number,
    )

    order = order_frames(table)

    assert not order.has_main
    assert "".join(order.axis[::2]) == axes


def test_frames_of_another_kind_of_place_are_a_stack_of_their_own() -> None:
    table = make_table(
        6,
        position=[(0, 0, 1), (0, 0, 2), (0, 0, 3), NOWHERE, NOWHERE, NOWHERE],
        orientation=AXIAL,
        slice_location=[1, 2, 3, 4, 5, np.nan],
        instance_number=np.arange(6),
    )

    order = order_frames(table)

    assert order.stack.tolist() == [0, 0, 0, 1, 1, 2]
    assert order.axis == ("Z", "Z", "Z", "Z", "Z", "I")
    assert order.primary_position.tolist() == [3, 2, 1, 5, 4, 5]


@pytest.mark.parametrize(("difference", "stacks"), [(0.0099, 1), (-0.0099, 1), (0.0101, 2), (-0.0101, 2)])
def test_orientations_within_a_hundredth_are_one(difference: float, stacks: int) -> None:
    orientation = np.array([AXIAL, AXIAL, AXIAL, AXIAL], dtype=float)
    orientation[3, 1] += difference

    order = order_frames(make_table(4, position=np.arange(12).reshape(4, 3), orientation=orientation))

    assert len(set(order.stack.tolist())) == stacks


def test_an_orientation_between_two_stacks_stays_with_the_first() -> None:
    first, second, between = (0.9990, 0, 0, 0, 1, 0), (0.9995, 0.014, 0, 0, 1, 0), (0.9998, 0.008, 0, 0, 1, 0)
    table = make_table(
        5,
        position=np.arange(15).reshape(5, 3),
        orientation=[second, (-1, 0, 0, 0, 1, 0), between, second, first],
        instance_number=[4, 5, 2, 3, 1],
    )

    order = order_frames(table)

    assert order.permutation.tolist() == [4, 2, 3, 0, 1]
    assert order.stack.tolist() == [0, 0, 1, 1, 2]


def test_the_commonest_orientation_is_the_one_of_the_stack() -> None:
    orientation = np.array([AXIAL] * 3, dtype=float)
    orientation[0, 2] -= 0.0009  # lexicographically the first

    order = order_frames(make_table(3, position=[(500, 0, 3), (0, 0, 2), (0, 0, 1)], orientation=orientation))

    np.testing.assert_array_equal(order.sort_key, [-3, -2, -1])


def test_time_is_the_first_that_all_of_the_main_stack_have_and_that_varies() -> None:
    times = np.full((4, 6), np.nan)
    times[:, 1] = [1, 2, np.nan, 9]
    times[:, 3] = [7, 7, 7, 8]
    times[:, 4] = [30, 10, 20, np.nan]
    times[:, 5] = [1, 2, 3, 4]
    table = make_table(
        4, position=(0, 0, 0), orientation=[AXIAL] * 3 + [CORONAL], instance_number=[0, 1, 2, 3], times=times
    )

    np.testing.assert_array_equal(order_frames(table).time, [30, 10, 20, np.nan])


@pytest.mark.parametrize("seconds", [(np.nan, 1, 2), (np.inf, 1, 2), (5, 5, 5)])
def test_time_is_unknown_where_one_lacks_or_all_share_it(seconds: tuple[float, ...]) -> None:
    assert np.isnan(order_frames(make_table(3, times=np.column_stack([seconds] * 6))).time).all()


def test_one_frame_is_a_stack() -> None:
    order = order_frames(make_table(1, position=(1, 2, 3), orientation=CORONAL))

    assert (order.permutation.tolist(), order.stack.tolist(), order.axis) == ([0], [0], ("Y",))
    assert order.primary_position.tolist() == [2]


def test_no_frame_is_an_error_of_the_series() -> None:
    with pytest.raises(SeriesError, match="no frame"):
        order_frames(make_table(0))
