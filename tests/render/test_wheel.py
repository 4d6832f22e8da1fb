"""The wheel of a plan: 0° is above, and angles grow clockwise."""

from __future__ import annotations

import numpy as np
import pytest

from dsp_batch.render.wheel import draw_wheel

COLORS = ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize(("angle", "place"), [(0, (45, 75)), (90, (75, 105)), (180, (105, 75)), (270, (75, 45))])
def test_a_beam_comes_from_its_angle(angle: float, place: tuple[int, int]) -> None:
    wheel = draw_wheel([(angle,)], 150, COLORS)

    spokes = [(45, 75), (75, 105), (105, 75), (75, 45)]
    assert [each for each in spokes if wheel[each].max() > 200] == [place]


def test_an_arc_is_dots_on_the_ring_from_its_first_angle_on() -> None:
    wheel = draw_wheel([tuple(range(0, 91, 5))], 150, COLORS)

    ring = np.hypot(*(np.mgrid[0:150, 0:150] + 0.5 - 75)) / 75
    outside = (wheel[..., 0] > 200) & (ring > 0.86)
    rows, columns = np.nonzero(outside)
    assert rows.max() <= 82
    assert columns.min() >= 68


@pytest.mark.parametrize("beams", [[(1e9,)], [tuple(map(float, range(5000)))], [(-720.5, 3.0)]])
def test_any_angles_are_drawn(beams: list[tuple[float, ...]]) -> None:
    assert draw_wheel(beams, 60, COLORS).shape == (60, 60, 3)
