"""Draw bulk annotations: as shapes where they are few, else as a density in the color of their group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsp_batch.core.tiling import lay_out_tiles
from dsp_batch.dicom.annotations import PointGroup, read_annotations
from dsp_batch.errors import DspBatchError
from dsp_batch.kinds.overlays.graphics import trace_graphic
from dsp_batch.kinds.overlays.layers import AnnotationLayer
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.scene import Color, Key, Stroke, spread_hue
from dsp_batch.model.series import ByteArray, FloatArray, ObjectInfo
from dsp_batch.render.overlays.scene import lay_scene_over
from dsp_batch.render.overlays.strokes import Overlayer
from dsp_batch.render.overlays.work import OverlayWork, draw_backdrop, in_color

_CELL = 6
"""Pixels of the picture for each cell of a density."""

_COLORS: tuple[Color, ...] = (
    (0, 84, 214),
    (0, 140, 60),
    (224, 120, 0),
    (20, 20, 20),
    (0, 158, 176),
    (112, 40, 196),
    (150, 100, 20),
)
"""Colors of the first groups, which are seen on white glass and on pink and violet tissue."""

_DENSEST = 0.7
"""Share of the color of a group where its annotations are densest."""

_FULL = 0.98
"""Quantile of the cells with any annotation that counts as densest: a few cells would make all others pale."""


_PAPER = 255

_MARGIN = 0.05
"""Share of a canvas that is left free on each side of the annotations, where nothing else tells its size."""


def draw_annotations(scene: Scene, work: OverlayWork) -> EncodedImage | None:
    """Draw annotations over the picture of their slide, else on a blank canvas of its shape, else of their extent.

    Returns:
        The picture; None where there is no point at all.
    """
    layer = scene.annotations
    groups = _read_groups(layer, work) if layer else ()
    if layer is None or not any(len(group.points) for group in groups):
        return None
    if scene.shape == (0, 0):
        scene, layer = _fit_canvas(scene, layer, groups)
    size = work.options.size
    tiles = draw_backdrop(scene.backdrop, work, size) if scene.backdrop else None
    if tiles:
        picture = in_color(tiles.tiles[0])
    else:
        _, (height, width) = lay_out_tiles(1, scene.shape, 1.0, size)
        picture = np.full((height, width, 3), _PAPER, np.uint8)
    scale = picture.shape[1] / scene.shape[1], picture.shape[0] / scene.shape[0]
    keyed = replace(scene, legend=_key_groups(groups))
    known = work.describe()
    return work.encode(
        lay_scene_over(keyed, paint_annotations(picture, groups, layer, scale)),
        tiles,
        n_tiles=1 if tiles else 0,
        drawn_as="overlay" if tiles else "picture",
        context="drawn" if tiles else work.source.missing,
        **{**known, "notes": gather_notes((*known["notes"], *(tiles.notes if tiles else ())))},
    )


def _read_groups(layer: AnnotationLayer, work: OverlayWork) -> tuple[PointGroup, ...]:
    """Read the annotations of an object that is in memory, else by ranges.

    Raises:
        DspBatchError: The object cannot be read.
    """
    name, size = work.index.object_names[layer.row], work.index.values("ObjectSize")[layer.row]
    body = work.index.bodies.get(name)
    if body is not None:
        return read_bytes(read_annotations(name, size), body)
    readers = {ObjectInfo(name=name, size=size): read_annotations(name, size)}
    found = work.source.store.read(work.index.objects_folder, readers, timeout=work.source.timeout)[name]
    if isinstance(found, DspBatchError):
        raise found
    return found


def _fit_canvas(scene: Scene, layer: AnnotationLayer, groups: Sequence[PointGroup]) -> tuple[Scene, AnnotationLayer]:
    """Make a canvas as large as the annotations take."""
    points = np.concatenate([group.points[:, :2] for group in groups])
    points = points[np.isfinite(points).all(1)]
    low, high = (points.min(0), points.max(0)) if len(points) else (np.zeros(2), np.ones(2))
    extent = np.maximum(high - low, float((high - low).max()) / 8 or 1.0)
    unit = float(extent.max()) / _CANVAS
    corner = (low + high) / 2 - extent * (0.5 + _MARGIN)
    columns, rows = (max(round(float(each)), 1) for each in extent * (1 + 2 * _MARGIN) / unit)
    mapping = np.array([[1.0, 0.0, 0.0, -corner[0]], [0.0, 1.0, 0.0, -corner[1]]]) / unit
    return replace(scene, shape=(rows, columns)), replace(layer, mapping=mapping)


_CANVAS = 1000
"""Columns or rows of a canvas that is made for annotations."""


def _key_groups(groups: Sequence[PointGroup]) -> tuple[Key, ...]:
    """Make the legend: each group with its type and count."""
    return tuple(
        Key(name=f"{group.label} {group.graphic} {group.count:,}", color=color_group(number))
        for number, group in enumerate(groups)
    )


def color_group(number: int) -> Color:
    """Choose the color of a group."""
    return _COLORS[number] if number < len(_COLORS) else spread_hue(number)


def place_points(points: FloatArray, layer: AnnotationLayer) -> FloatArray:
    """Compute column and row in the total matrix for points of pixels, shape (n, 2), or of mm, shape (n, 2 or 3)."""
    if layer.mapping is None:
        return points[:, :2]
    space = np.zeros((len(points), 4))
    space[:, : points.shape[1]] = points
    space[:, 3] = 1
    placed: FloatArray = space @ layer.mapping.T
    return placed


def paint_annotations(
    picture: ByteArray, groups: Sequence[PointGroup], layer: AnnotationLayer, scale: tuple[float, float]
) -> ByteArray:
    """Draw annotations over a picture.

    Args:
        picture: RGB, (height, width, 3). Not modified.
        groups: The annotations.
        layer: Where they lie.
        scale: Pixels of the picture for each column, and for each row, of the total matrix.

    Returns:
        RGB, (height, width, 3).
    """
    sheet = Overlayer((picture.shape[0], picture.shape[1]), scale)
    for number, group in enumerate(groups):
        places = place_points(group.points, layer)
        if group.starts is None:
            picture = _paint_density(picture, places * scale, color_group(number))
        elif group.graphic == "POINT":
            sheet.draw_points(places, color_group(number))
        else:
            parts = np.split(places, group.starts[1:])
            sheet.draw_strokes(stroke for part in parts if (stroke := _trace(part, group.graphic, number)))
    return sheet.lay_over(picture)


def _trace(points: FloatArray, graphic: str, number: int) -> Stroke | None:
    if not len(points) or not np.isfinite(points).all():
        return None
    corners, is_closed = trace_graphic(graphic, points)
    closes = is_closed or graphic in ("POLYGON", "RECTANGLE")
    return Stroke(points=corners, color=color_group(number), is_closed=closes)


def measure_density(places: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Count places in cells of a picture.

    Args:
        places: Column and row in pixels of the picture, shape (n, 2).
        shape: Height and width of the picture.

    Returns:
        Counts, smoothed over neighbours, shape (rows of cells, columns of cells).
    """
    rows, columns = -(-shape[0] // _CELL), -(-shape[1] // _CELL)
    cells = np.floor(places / _CELL).astype(np.int64)
    inside = (cells >= 0).all(1) & (cells < (columns, rows)).all(1)
    counts = np.bincount(cells[inside, 1] * columns + cells[inside, 0], minlength=rows * columns)
    density = counts.reshape(rows, columns).astype(np.float64)
    for axis in (0, 1):
        padded = np.pad(density, [(1, 1) if axis == each else (0, 0) for each in (0, 1)])
        before, after = (np.take(padded, range(k, k + density.shape[axis]), axis) for k in (0, 2))
        density = (before + 2 * density + after) / 4
    return density


def _paint_density(picture: ByteArray, places: FloatArray, color: Color) -> ByteArray:
    """Paint where points are, the more of the color the denser they are."""
    density = measure_density(places, (picture.shape[0], picture.shape[1]))
    filled = density[density > 0]
    if not filled.size:
        return picture
    share = np.sqrt((density / np.quantile(filled, _FULL)).clip(0, 1)) * _DENSEST
    whole = np.repeat(np.repeat(share, _CELL, 0), _CELL, 1)[: picture.shape[0], : picture.shape[1], np.newaxis]
    painted: ByteArray = np.rint(picture * (1 - whole) + np.array(color) * whole).astype(np.uint8)
    return painted
