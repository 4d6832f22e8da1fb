"""The levels of a slide: its images at several resolutions, and where the tiles of each are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsp_batch.kinds.kind import Contents
from dsp_batch.kinds.registry import find_kind
from dsp_batch.kinds.slide import SLIDE
from dsp_batch.kinds.slide_level import Level, list_levels
from dsp_batch.model.series import FrameRef
from dsp_batch.web.viewer.library import OpenSeries


def describe_levels(opened: OpenSeries, numbers: Mapping[int, int]) -> list[dict[str, Any]]:
    """Describe the levels of a slide, largest first; none for anything else.

    Args:
        opened: The series.
        numbers: Row of each instance that is shown → the number of its file.
    """
    levels = sorted(_levels_of(opened), key=lambda level: -level.pixels)
    return [
        {
            "file": numbers[next(iter(level.parts))],
            "rows": level.matrix[0],
            "columns": level.matrix[1],
            "tile_rows": level.tile[0],
            "tile_columns": level.tile[1],
            "grid_rows": level.grid[0],
            "grid_columns": level.grid[1],
            "image_type": list(next(iter(level.parts.values())).texts("ImageType")),
        }
        for level in levels
        if next(iter(level.parts)) in numbers
    ]


def find_tile(opened: OpenSeries, instance: int, column: int, row: int) -> FrameRef | None:
    """Find the frame of a tile of the level that an instance is part of; None where there is none.

    Args:
        opened: The series.
        instance: Row of the instance in the index.
        column: Column of the tile, from 0.
        row: Row of the tile, from 0.
    """
    return opened.derive(("tiles", instance), lambda: _list_tiles(opened, instance)).get((column, row))


def _list_tiles(opened: OpenSeries, instance: int) -> Mapping[tuple[int, int], FrameRef]:
    level = next((level for level in _levels_of(opened) if instance in level.parts), None)
    return {} if level is None else _lay_out(level)


def _lay_out(level: Level) -> dict[tuple[int, int], FrameRef]:
    """Find the frame at each column and row of the grid. Tiles that lie across it have no place there."""
    rows, columns = level.tile
    return {
        (left // columns, top // rows): ref
        for (top, left), ref in level.lay_out_tiles().items()
        if top % rows == 0 and left % columns == 0
    }


def _levels_of(opened: OpenSeries) -> list[Level]:
    index = opened.index
    classes = index.texts("SOPClassUID")
    rows = [row for row in sorted(opened.drawable) if find_kind(classes[row]) is SLIDE]
    if not rows:
        return []
    contents = Contents(
        instances={row: index.attributes(row) for row in rows}, sizes=dict(enumerate(index.values("ObjectSize")))
    )
    return list_levels(contents, rows)
