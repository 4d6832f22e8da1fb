"""Compute what scanners would see of a torso and a head at any point of patient space.

A body is a function of patient coordinates (LPS, mm), so that any plane can be cut through it.
"""

from __future__ import annotations

import numpy as np

from dsp_batch.phantom.shapes import Ellipsoid, Image, Organ, Points, Rod, crop, paint, paint_organs, wave, weave

SPHERE = Organ(Ellipsoid((72.0, -18.0, 95.0), (20.0, 20.0, 20.0)), 300.0, 9.0)
"""A bright sphere, high in the left lung."""

ROD = Organ(Rod((-44.0, 6.0, 210.0), (92.0, -58.0, -210.0), 5.0), 1200.0)
"""A metal rod from the right of the neck to the left of the hip."""

RIGHT_LUNG = Organ(Ellipsoid((-74.0, 2.0, 62.0), (52.0, 74.0, 104.0)), -850.0, 0.3)
LEFT_LUNG = Organ(Ellipsoid((74.0, 2.0, 58.0), (50.0, 74.0, 104.0)), -850.0, 0.3)
LIVER = Organ(Ellipsoid((-62.0, -8.0, -52.0), (82.0, 72.0, 62.0)), 112.0, 2.6)
SPLEEN = Organ(Ellipsoid((92.0, 42.0, -48.0), (34.0, 40.0, 44.0)), 125.0, 2.2)
RIGHT_KIDNEY = Organ(Ellipsoid((-64.0, 50.0, -108.0), (26.0, 27.0, 48.0)), 200.0, 4.0)
LEFT_KIDNEY = Organ(Ellipsoid((64.0, 50.0, -104.0), (26.0, 27.0, 48.0)), 200.0, 4.0)
BLADDER = Organ(Ellipsoid((0.0, -30.0, -205.0), (46.0, 38.0, 36.0)), 8.0, 14.0)
"""Organs of the torso that other objects speak of."""

_TORSO = (
    RIGHT_LUNG,
    LEFT_LUNG,
    Organ(Rod((0.0, 14.0, 260.0), (0.0, 20.0, 70.0), 8.0), -980.0),
    Organ(Ellipsoid((14.0, -28.0, 22.0), (54.0, 46.0, 58.0)), 55.0, 2.2),
    Organ(Ellipsoid((28.0, -26.0, 16.0), (27.0, 24.0, 38.0)), 210.0, 5.0),
    Organ(Ellipsoid((-14.0, -36.0, 30.0), (21.0, 20.0, 36.0)), 160.0, 1.5),
    Organ(Rod((-8.0, -12.0, 60.0), (12.0, 30.0, 108.0), 14.0), 190.0, 1.8),
    Organ(Rod((16.0, 40.0, 108.0), (12.0, 42.0, -130.0), 12.0), 190.0, 1.8),
    LIVER,
    SPLEEN,
    Organ(Ellipsoid((52.0, -36.0, -62.0), (44.0, 36.0, 40.0)), 25.0, 0.8),
    Organ(Ellipsoid((54.0, -58.0, -58.0), (28.0, 12.0, 24.0)), -960.0),
    Organ(Rod((-44.0, 20.0, -40.0), (20.0, 4.0, -38.0), 6.0), 170.0, 1.5),
    RIGHT_KIDNEY,
    LEFT_KIDNEY,
    Organ(Ellipsoid((-56.0, 46.0, -108.0), (11.0, 12.0, 26.0)), 30.0, 7.0),
    Organ(Ellipsoid((56.0, 46.0, -104.0), (11.0, 12.0, 26.0)), 30.0, 7.0),
    BLADDER,
)
_SPINAL_CANAL = Organ(Rod((0.0, 92.0, 260.0), (0.0, 92.0, -260.0), 8.0), 20.0, 0.4)
_PROFILE_MM = (-260.0, -195.0, -140.0, -80.0, -20.0, 60.0, 120.0, 150.0, 172.0, 260.0)
_HALF_WIDTH_MM = (176.0, 176.0, 166.0, 152.0, 160.0, 168.0, 158.0, 128.0, 76.0, 62.0)
_HALF_DEPTH_MM = (116.0, 114.0, 106.0, 104.0, 108.0, 110.0, 104.0, 94.0, 76.0, 70.0)
_MIDDLE_MM = (4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 6.0, 14.0, 34.0, 40.0)


def _torso_depth(points: Points) -> Image:
    half_width = np.interp(points.z, _PROFILE_MM, _HALF_WIDTH_MM).astype(np.float32)
    half_depth = np.interp(points.z, _PROFILE_MM, _HALF_DEPTH_MM).astype(np.float32)
    # A superellipse of exponent 4 mixed with an ellipse: the flat back and chest of a body that lies on a table.
    middle = np.interp(points.z, _PROFILE_MM, _MIDDLE_MM).astype(np.float32)
    across, along = (points.x / half_width) ** 2, ((points.y - middle) / half_depth) ** 2
    squares = across + along - np.float32(0.35) * np.minimum(across * along, 1)
    depth: Image = (1 - np.sqrt(squares)) * np.minimum(half_width, half_depth)
    return depth


def _ribs(points: Points, depth: Image) -> Image:
    slope = points.z + np.float32(0.45) * points.y + np.float32(0.1) * np.abs(points.x)
    arcs = np.float32(9) * (wave(slope / np.float32(27)) + np.float32(0.25))
    chest = np.minimum(np.float32(150) - points.z, points.z + np.float32(85) - np.float32(0.4) * points.y)
    ribs: Image = np.minimum(np.minimum(np.float32(4.5) - np.abs(depth - np.float32(21)), arcs), chest)
    return ribs


def _paint_spine(whole: Image, everywhere: Points) -> None:
    if not (part := crop(whole, everywhere, ((-46, 40, -1000), (46, 120, 1000)))):
        return
    image, points = part
    here = Points(points.x, points.y - np.float32(66), points.z)
    radius = np.sqrt((here.x / np.float32(1.15)) ** 2 + here.y**2)
    disc = wave(points.z / np.float32(32)) * np.float32(8) - np.float32(5.5)
    body = np.float32(19) - radius
    paint(image, 480, body)
    paint(image, 230, body - np.float32(3.5))
    paint(image, 90, np.minimum(body, disc))
    for side in (-1.0, 1.0):
        for start, end in (((7.0, 84.0), (40.0, 96.0)), ((9.0, 90.0), (0.0, 110.0))):
            process = Rod((side * start[0], start[1], 0), (side * end[0], end[1], 0), 4.5)
            flat = Points(points.x, points.y, np.zeros((1, 1), np.float32))
            paint(image, 420, np.minimum(process.depth(flat), -disc))


def _paint_pelvis(whole: Image, everywhere: Points) -> None:
    if not (part := crop(whole, everywhere, ((-140, -50, -320), (140, 100, -105)))):
        return
    image, points = part
    for side in (-1.0, 1.0):
        wing = Ellipsoid((side * 66, 26, -222), (66, 62, 84)).depth(points)
        cut = np.minimum(np.float32(-105) - points.z, np.float32(side) * points.x - np.float32(48))
        paint(image, 430, np.minimum(np.float32(5) - np.abs(wing - np.float32(4)), cut))


def _paint_bowel(whole: Image, everywhere: Points) -> None:
    belly = Ellipsoid((0, -18, -140), (124, 72, 110))
    if part := crop(whole, everywhere, belly.box()):
        image, points = part
        coarse = weave(Points(points.x, points.y, points.z * np.float32(0.7)), 58)
        fine = weave(Points(points.y + points.x * np.float32(0.5), points.z, points.x), 41)
        paint(image, -95 + 135 * np.clip((coarse + fine) * 4 + np.float32(1.5), 0, 1), belly.depth(points))


def _paint_lung_vessels(whole: Image, everywhere: Points) -> None:
    if part := crop(whole, everywhere, ((-130, -80, -50), (130, 80, 170))):
        image, points = part
        depth = _torso_depth(points)
        sheets = np.abs(weave(points, 52)), np.abs(weave(Points(points.y, points.z, points.x), 43))
        tubes = (np.float32(0.3) - np.maximum(*sheets)) * 8
        paint(image, 10, np.where((image < -700) & (depth > 14), tubes, -9))


def torso_hounsfield(points: Points) -> Image:
    """Compute the CT of a torso on a table: lungs, bright vessels, bones, a bright sphere and a slanted metal rod.

    Returns:
        HU, shape (rows, columns).
    """
    shape = np.broadcast_shapes(*(p.shape for p in points))
    image = np.full(shape, -1000, np.float32)
    couch = np.sqrt((points.x / np.float32(2)) ** 2 + (points.y + np.float32(10)) ** 2) - np.float32(138)
    couch = np.minimum(np.float32(2.5) - np.abs(couch), points.y - np.float32(50))
    paint(image, -300, couch + np.zeros(shape, np.float32))
    depth = _torso_depth(points)
    paint(image, -95, depth)
    paint(image, 52, depth - np.float32(12))
    _paint_bowel(image, points)
    paint_organs(image, tuple(organ.value for organ in _TORSO), _TORSO, points)
    _paint_lung_vessels(image, points)
    paint(image, 400, _ribs(points, depth))
    _paint_pelvis(image, points)
    _paint_spine(image, points)
    extras = (_SPINAL_CANAL, SPHERE, ROD)
    paint_organs(image, tuple(organ.value for organ in extras), extras, points)
    return image


def torso_uptake(points: Points) -> Image:
    """Compute the PET of the same torso, relative to the background uptake.

    Returns:
        Uptake, shape (rows, columns); 0 outside the body.
    """
    image = np.zeros(np.broadcast_shapes(*(p.shape for p in points)), np.float32)
    paint(image, 1, _torso_depth(points), edge=6)
    organs = (*_TORSO, SPHERE)
    paint_organs(image, tuple(organ.uptake for organ in organs), organs, points)
    return image


_SKULL = Ellipsoid((0.0, 8.0, 26.0), (77.0, 97.0, 88.0))
_OUTLINE = (
    _SKULL,
    Ellipsoid((0.0, -30.0, -44.0), (60.0, 66.0, 76.0)),
    Ellipsoid((0.0, -100.0, -32.0), (15.0, 18.0, 24.0)),
    Ellipsoid((0.0, -82.0, -98.0), (30.0, 18.0, 20.0)),
    Rod((0.0, 20.0, -40.0), (0.0, 46.0, -170.0), 56.0),
)
_FACE = (
    Organ(Ellipsoid((0.0, -66.0, -32.0), (13.0, 26.0, 20.0)), 120.0),
    Organ(Ellipsoid((0.0, -84.0, 18.0), (22.0, 7.0, 14.0)), 40.0),
    Organ(Ellipsoid((38.0, -54.0, -36.0), (15.0, 18.0, 17.0)), 40.0),
    Organ(Ellipsoid((-38.0, -54.0, -36.0), (15.0, 18.0, 17.0)), 40.0),
    Organ(Ellipsoid((0.0, -46.0, -78.0), (30.0, 34.0, 20.0)), 560.0),
    Organ(Rod((0.0, -14.0, -38.0), (0.0, -2.0, -90.0), 7.0), 30.0),
    Organ(Rod((0.0, -2.0, -90.0), (0.0, 2.0, -170.0), 8.0), 30.0),
    Organ(Ellipsoid((32.0, -68.0, -6.0), (13.0, 13.0, 13.0)), 240.0),
    Organ(Ellipsoid((-32.0, -68.0, -6.0), (13.0, 13.0, 13.0)), 240.0),
    Organ(Ellipsoid((32.0, -79.0, -6.0), (5.0, 3.0, 5.0)), 620.0),
    Organ(Ellipsoid((-32.0, -79.0, -6.0), (5.0, 3.0, 5.0)), 620.0),
    *(Organ(Ellipsoid((0.0, 22.0 + 0.22 * k, -66.0 - k), (13.0, 10.0, 8.0)), 740.0) for k in range(0, 110, 20)),
)
_BRAIN = (
    Organ(Rod((-20.0, -24.0, 36.0), (-24.0, 42.0, 30.0), 8.0), 190.0),
    Organ(Rod((20.0, -24.0, 36.0), (24.0, 42.0, 30.0), 8.0), 190.0),
    Organ(Rod((-8.0, -26.0, 38.0), (-22.0, -4.0, 38.0), 7.0), 190.0),
    Organ(Rod((8.0, -26.0, 38.0), (22.0, -4.0, 38.0), 7.0), 190.0),
    Organ(Ellipsoid((-12.0, 10.0, 22.0), (11.0, 17.0, 11.0)), 660.0, 40.0),
    Organ(Ellipsoid((12.0, 10.0, 22.0), (11.0, 17.0, 11.0)), 660.0, 40.0),
    Organ(Ellipsoid((-26.0, -4.0, 20.0), (8.0, 20.0, 12.0)), 640.0, 40.0),
    Organ(Ellipsoid((26.0, -4.0, 20.0), (8.0, 20.0, 12.0)), 640.0, 40.0),
    Organ(Rod((0.0, 20.0, 4.0), (0.0, 34.0, -70.0), 15.0), 190.0),
    Organ(Rod((0.0, 34.0, -70.0), (0.0, 52.0, -170.0), 10.0), 190.0),
    Organ(Rod((0.0, 12.0, 8.0), (0.0, 26.0, -52.0), 10.0), 860.0, 30.0),
    Organ(Ellipsoid((0.0, 10.0, -22.0), (17.0, 13.0, 15.0)), 880.0, 30.0),
    Organ(Rod((0.0, 26.0, -52.0), (0.0, 52.0, -170.0), 5.5), 800.0, 20.0),
    Organ(Ellipsoid((0.0, -18.0, -10.0), (7.0, 6.0, 5.0)), 980.0, 300.0),
)
LESION = Organ(Ellipsoid((-36.0, 34.0, 44.0), (17.0, 17.0, 17.0)), 480.0, 900.0)
"""A round lesion on the right of the brain that takes up contrast agent."""

_VESSELS = (
    Organ(Rod((-14.0, -14.0, -6.0), (-58.0, -12.0, 14.0), 3.5), 300.0, 1500.0),
    Organ(Rod((14.0, -14.0, -6.0), (58.0, -12.0, 14.0), 3.5), 300.0, 1500.0),
    Organ(Rod((-6.0, -22.0, -4.0), (-2.0, -46.0, 20.0), 3.0), 300.0, 1500.0),
    Organ(Rod((6.0, -22.0, -4.0), (2.0, -46.0, 20.0), 3.0), 300.0, 1500.0),
    Organ(Rod((-18.0, -8.0, -8.0), (-24.0, -4.0, -120.0), 4.0), 300.0, 1500.0),
    Organ(Rod((18.0, -8.0, -8.0), (24.0, -4.0, -120.0), 4.0), 300.0, 1500.0),
    Organ(Rod((0.0, 0.0, -8.0), (0.0, 14.0, -60.0), 3.5), 300.0, 1500.0),
)


def _paint_head(image: Image, points: Points) -> None:
    depth = _OUTLINE[0].depth(points) + np.zeros_like(image)
    for shape in _OUTLINE[1:]:
        np.maximum(depth, shape.depth(points), out=depth)
    paint(image, 900, depth)
    paint(image, 430 + 60 * weave(points, 30), depth - np.float32(6))
    paint_organs(image, tuple(organ.value for organ in _FACE), _FACE, points)


def _paint_cortex(image: Image, points: Points, depth: Image) -> None:
    folds = weave(points, 36) + np.float32(0.5) * weave(Points(points.z, points.x, points.y), 19)
    base = points.z + np.float32(20) + np.float32(0.12) * points.y
    paint(image, 130, depth - np.float32(5))
    paint(image, 230, np.minimum(depth - np.float32(10), base + np.float32(6)))
    inside = np.minimum(depth - np.float32(12.5), base)
    paint(image, 650, inside)
    paint(image, 930, inside - np.float32(7) - np.float32(7) * np.abs(folds))
    sulci = np.minimum(np.float32(2.2) - np.float32(9) * np.abs(folds), np.float32(17) - inside)
    paint(image, 250, np.minimum(sulci, inside), edge=2.5)
    fissure = np.minimum(np.float32(1.6) - np.abs(points.x), np.float32(12) - inside)
    paint(image, 240, np.minimum(fissure, inside))


def _paint_callosum(image: Image, points: Points) -> None:
    arch = Ellipsoid((0.0, 8.0, 22.0), (60.0, 44.0, 26.0)).depth(points)
    band = np.minimum(np.float32(4.5) - np.abs(arch), np.float32(13) - np.abs(points.x))
    paint(image, 1000, np.minimum(band, points.z - np.float32(18)))


def _paint_cerebellum(whole: Image, everywhere: Points) -> None:
    shape = Ellipsoid((0.0, 62.0, -34.0), (50.0, 32.0, 27.0))
    if part := crop(whole, everywhere, shape.box()):
        image, points = part
        depth = shape.depth(points)
        reach = np.sqrt(points.x**2 / 9 + (points.y - np.float32(36)) ** 2 + (points.z + np.float32(32)) ** 2)
        leaves = wave(reach / np.float32(5.5))
        paint(image, 220, depth + np.float32(3))
        paint(image, 640 + 130 * leaves, depth)
        paint(image, 900, depth - np.float32(16))


def head_signal(points: Points) -> Image:
    """Compute the T1-weighted MR of a head: bright fat and white matter, gray cortex, dark fluid and bone.

    Returns:
        Signal, shape (rows, columns), 0 to about 1000.
    """
    image = np.zeros(np.broadcast_shapes(*(p.shape for p in points)), np.float32)
    _paint_head(image, points)
    _paint_cortex(image, points, _SKULL.depth(points))
    paint_organs(image, tuple(organ.value for organ in _BRAIN[:4]), _BRAIN[:4], points)
    _paint_callosum(image, points)
    _paint_cerebellum(image, points)
    organs = (*_BRAIN[4:], LESION)
    paint_organs(image, tuple(organ.value for organ in organs), organs, points)
    return image


def head_uptake(points: Points) -> Image:
    """Compute what a bolus of contrast agent adds to `head_signal` at its peak, mostly in vessels and in a lesion.

    Returns:
        Signal, shape (rows, columns).
    """
    image = np.zeros(np.broadcast_shapes(*(p.shape for p in points)), np.float32)
    depth = _SKULL.depth(points)
    paint(image, 110, depth - np.float32(14))
    paint(image, 50, depth - np.float32(28), edge=12)
    sinus = np.minimum(np.float32(4) - np.abs(depth - np.float32(12)), np.float32(5) - np.abs(points.x))
    paint(image, 1400, np.minimum(sinus, points.y + np.float32(60)))
    organs = (*_BRAIN, *_VESSELS, LESION)
    paint_organs(image, tuple(organ.uptake for organ in organs), organs, points)
    core = Ellipsoid(LESION.shape.center, (9.0, 9.0, 9.0))  # type: ignore[union-attr]  # a lesion is an ellipsoid
    paint(image, 150, core.depth(points))
    return image
