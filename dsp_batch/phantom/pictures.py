"""Draw the phantoms that are no slices of a volume: a radiograph and an ultrasound clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.phantom.shapes import Image, noise, wave

Flat = tuple[float, float]
_Bar = tuple[Flat, Flat, float]


class _Ray(NamedTuple):
    """A finger from the wrist to its tip, in mm from the middle of the picture."""

    base: Flat
    tip: Flat
    joints: tuple[float, ...]
    """Start of each bone and end of the last one, as fractions of the way from base to tip."""

    radius: float
    """Radius of the flesh around the bones, in mm."""


_FINGER = (0.0, 0.425, 0.68, 0.84, 0.96)
_RAYS = (
    _Ray((-19, 42), (-40, -84), _FINGER, 9.5),
    _Ray((-6, 38), (-9, -99), _FINGER, 9.8),
    _Ray((7, 40), (22, -90), _FINGER, 9.3),
    _Ray((19, 46), (53, -58), _FINGER, 8.3),
    _Ray((-27, 56), (-80, -14), (0.0, 0.46, 0.76, 0.95), 10.5),
)
_CARPALS = (
    (-22, 50, 7, 6), (-9, 47, 6, 7), (4, 49, 6.5, 8.5), (16, 53, 6.5, 6),
    (-20, 63, 8, 6.5), (-5, 64, 7.5, 6), (9, 65, 6, 5.5), (18, 62, 4, 5),
)  # fmt: skip
_FOREARM = (((-12.0, 76.0), (-15.0, 170.0), 11.5), ((14.0, 79.0), (17.0, 170.0), 8.0))


def _chord(x: Image, y: Image, ends: tuple[Flat, Flat], radius: float, waist: float = 0.0) -> Image:
    """Measure the path of an X-ray through a round bar, in mm. Its middle is thinner by the fraction `waist`."""
    (x0, y0), (x1, y1) = ends
    across, along = np.float32(x1 - x0), np.float32(y1 - y0)
    fraction = (((x - np.float32(x0)) * across + (y - np.float32(y0)) * along) / (across**2 + along**2)).clip(0, 1)
    squares = (x - np.float32(x0) - fraction * across) ** 2 + (y - np.float32(y0) - fraction * along) ** 2
    reach = np.float32(radius) * (1 - np.float32(4 * waist) * fraction * (1 - fraction))
    path: Image = 2 * np.sqrt(np.maximum(reach**2 - squares, 0))
    return path


def _flesh_path(x: Image, y: Image, ends: tuple[Flat, Flat], radius: float) -> Image:
    return _chord(x, y, ends, radius, 0.06)


def _bone_path(x: Image, y: Image, ends: tuple[Flat, Flat], radius: float) -> Image:
    hollow = _chord(x, y, ends, radius * 0.62, 0.42)
    return _chord(x, y, ends, radius, 0.36) - np.float32(0.55) * hollow


def _add(picture: Image, x: Image, y: Image, bar: _Bar, path: Callable[..., Image]) -> None:
    """Draw a bar into a picture: keep the longer of two paths, and compute only where the bar can be."""
    (x0, y0), (x1, y1), radius = bar
    first, last = np.searchsorted(x[0], (min(x0, x1) - radius, max(x0, x1) + radius))
    top, bottom = np.searchsorted(y[:, 0], (min(y0, y1) - radius, max(y0, y1) + radius))
    part = picture[top:bottom, first:last]
    np.maximum(part, path(x[:, first:last], y[top:bottom], bar[:2], radius), out=part)


def _along(ray: _Ray, fraction: float) -> Flat:
    return (
        ray.base[0] + (ray.tip[0] - ray.base[0]) * fraction,
        ray.base[1] + (ray.tip[1] - ray.base[1]) * fraction,
    )


def _flesh(x: Image, y: Image) -> Image:
    palm = 1 - ((x + np.float32(2)) / np.float32(37)) ** 2 - ((y - np.float32(24)) / np.float32(58)) ** 2
    flesh = np.float32(25) * np.sqrt(np.maximum(palm, 0))
    for ray in _RAYS:
        _add(flesh, x, y, (ray.base, ray.tip, ray.radius), _flesh_path)
    for bar in (((-7.0, 60.0), (-10.0, 180.0), 24.0), ((8.0, 60.0), (10.0, 180.0), 24.0)):
        _add(flesh, x, y, bar, _flesh_path)
    return flesh


def _skeleton(x: Image, y: Image) -> Image:
    bones = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for ray in _RAYS:
        for number, (start, stop) in enumerate(zip(ray.joints, ray.joints[1:], strict=False)):
            bar = (_along(ray, start + 0.025), _along(ray, stop - 0.022), ray.radius * (0.72 - 0.09 * number))
            _add(bones, x, y, bar, _bone_path)
    for center_x, center_y, radius_x, radius_y in _CARPALS:
        inside = 1 - ((x - np.float32(center_x)) / radius_x) ** 2 - ((y - np.float32(center_y)) / radius_y) ** 2
        np.maximum(bones, np.float32(9) * np.sqrt(np.maximum(inside, 0)), out=bones)
    for bar in _FOREARM:
        _add(bones, x, y, bar, _bone_path)
    return bones


def hand_radiograph(rows: int, columns: int, spacing: float) -> npt.NDArray[np.uint16]:
    """Draw the exposure behind a left hand: 12 bit, high where few X-rays were held back, for MONOCHROME1.

    Args:
        rows: Rows of the picture.
        columns: Columns of the picture.
        spacing: Size of a pixel in mm.

    Returns:
        Stored values, shape (rows, columns), 0 to 4095.
    """
    x = ((np.arange(columns, dtype=np.float32) - np.float32((columns - 1) / 2)) * np.float32(spacing))[None, :]
    y = ((np.arange(rows, dtype=np.float32) - np.float32((rows - 1) / 2)) * np.float32(spacing))[:, None]
    x = x - np.float32(7)
    texture = 1 + np.float32(0.05) * noise(31, (rows, columns), 2)
    depth = np.float32(0.021) * _flesh(x, y) + np.float32(0.075) * _skeleton(x, y) * texture
    for bar in (((56.0, 78.0), (56.0, 100.0), 1.8), ((56.0, 100.0), (68.0, 100.0), 1.8)):  # a lead letter L
        _add(depth, x, y, bar, _chord)
    passed = 1 / (1 + depth + depth**2 / 2 + depth**3 / 6)  # close to exp(-depth), and exact everywhere
    values = 120 + 3780 * passed + 14 * noise(32, (rows, columns), 1)
    stored: npt.NDArray[np.uint16] = np.rint(values.clip(0, 4095)).astype(np.uint16)
    return stored


class _Sector(NamedTuple):
    """The positions of an ultrasound picture's pixels in its fan."""

    depth: Image
    """Distance from the transducer, 0 at its face, 1 at the arc."""

    slope: Image
    """Tangent of the angle from the middle line."""

    inside: npt.NDArray[np.bool_]
    """True for pixels within the fan."""


_HALF_ANGLE_SLOPE = 0.9


def _sector(rows: int, columns: int) -> _Sector:
    x = (np.arange(columns, dtype=np.float32) - np.float32((columns - 1) / 2))[None, :] / np.float32(rows)
    y = (np.arange(rows, dtype=np.float32))[:, None] / np.float32(rows) + np.float32(0.06)
    distance = np.sqrt(x**2 + y**2)
    depth = (distance - np.float32(0.14)) / np.float32(0.78)
    slope = x / y
    return _Sector(depth, slope, (depth >= 0) & (depth <= 1) & (np.abs(slope) <= np.float32(_HALF_ANGLE_SLOPE)))


def _speckle(sector: _Sector, seed: int) -> Image:
    grid = np.abs(noise(seed, (160, 96), 1)) + np.float32(0.5) * np.abs(noise(seed + 1, (160, 96)))
    ray = ((sector.slope / np.float32(_HALF_ANGLE_SLOPE) + 1) * np.float32(47.5)).clip(0, 95).astype(np.intp)
    gate = (sector.depth * np.float32(159)).clip(0, 159).astype(np.intp)
    return grid[gate, ray]


def _chamber(sector: _Sector, squeeze: float) -> Image:
    """Shape a ventricle that contracts: 1 in its middle, 0 at its wall, negative outside."""
    x = sector.slope * (sector.depth + np.float32(0.2))
    across = (x + np.float32(0.04)) / np.float32(0.24 * (1 - 0.3 * squeeze))
    along = (sector.depth - np.float32(0.52)) / np.float32(0.33 * (1 - 0.15 * squeeze))
    return 1 - np.sqrt(across**2 + along**2)


def _gray(sector: _Sector, chamber: Image, speckle: Image) -> Image:
    wall = np.clip(1 - np.abs(chamber + np.float32(0.16)) * 6, 0, 1)
    echo = np.float32(52) + 120 * wall
    echo = np.where(chamber > 0, np.float32(7), echo)
    lining = np.clip(1 - np.abs(sector.depth - np.float32(0.92)) * 30, 0, 1)
    echo = (echo + 150 * lining) * (np.float32(0.3) + np.float32(0.75) * speckle)
    return np.asarray(echo * (np.float32(1.2) - np.float32(0.55) * sector.depth), np.float32)


def _flow_colors(velocity: Image) -> npt.NDArray[np.float32]:
    toward, away = velocity.clip(0, 1), (-velocity).clip(0, 1)
    red = 90 * (toward > 0) + 165 * toward
    blue = 90 * (away > 0) + 165 * away
    return np.stack([red, 210 * toward**2 + 210 * away**2, blue], axis=-1).astype(np.float32)


_ECG_PHASE = (0.0, 0.1, 0.15, 0.2, 0.27, 0.29, 0.33, 0.36, 0.39, 0.52, 0.6, 0.68, 1.0)
_ECG_HEIGHT = (0.0, 0.0, 0.12, 0.0, 0.0, -0.1, 1.0, -0.25, 0.0, 0.0, 0.22, 0.0, 0.0)


def _draw_margins(picture: npt.NDArray[np.float32], moment: float) -> None:
    """Draw a gray and a color scale at the right, and an electrocardiogram at the bottom with a dot for this frame."""
    rows, columns = picture.shape[:2]
    scale = np.linspace(1, -1, rows // 3, dtype=np.float32)
    top, right = rows // 12, columns - columns // 32
    width = columns // 40
    picture[top : top + scale.size, right - width : right] = _flow_colors(scale)[:, None]
    below = top + scale.size + rows // 20
    gray = np.linspace(255, 0, rows // 3, dtype=np.float32)
    picture[below : below + gray.size, right - width : right] = gray[:, None, None]
    phase = np.arange(columns, dtype=np.float32) / np.float32(columns) * 3
    heights = np.interp(phase - np.floor(phase), _ECG_PHASE, _ECG_HEIGHT)
    line = np.rint(rows * 0.965 - heights * rows * 0.075).astype(np.intp)
    for column in range(1, columns):
        low, high = sorted((int(line[column - 1]), int(line[column])))
        picture[low : high + 1, column] = (60, 220, 90)
    column = int((1 + moment) / 3 * (columns - 1))
    picture[line[column] - 2 : line[column] + 3, column - 2 : column + 3] = (255, 255, 120)


def heart_ultrasound(count: int, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Draw one heart beat as a sector transducer shows it, with color flow in the ventricle.

    Returns:
        RGB, shape (count, rows, columns, 3).
    """
    sector = _sector(rows, columns)
    speckles = [_speckle(sector, seed) for seed in range(41, 51, 2)]
    pictures = np.zeros((count, rows, columns, 3), np.float32)
    for number in range(count):
        moment = number / count
        beat = float(wave(np.asarray([moment - 0.3], np.float32))[0])
        chamber = _chamber(sector, max(beat, 0.0))
        gray = _gray(sector, chamber, speckles[number % 5])
        pictures[number] = np.where(sector.inside, gray, 0)[..., None]
        swirl = np.float32(0.55) + np.float32(0.5) * chamber + np.float32(0.2) * wave(sector.slope * 2)
        velocity = np.float32(beat) * swirl * (np.float32(1.25) - np.abs(sector.slope + np.float32(0.05)) * 3)
        shown = sector.inside & (chamber > np.float32(0.12)) & (np.abs(velocity) > np.float32(0.12))
        pictures[number][shown] = _flow_colors(velocity)[shown]
        _draw_margins(pictures[number], moment)
    stored: npt.NDArray[np.uint8] = np.rint(pictures.clip(0, 255)).astype(np.uint8)
    return stored
