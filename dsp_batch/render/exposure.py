"""Draw tiles under a window that shows something, whatever window their object has."""

from __future__ import annotations

from dataclasses import replace

from dsp_batch.core.windowing import full_window
from dsp_batch.model.contrast import AUTO, Contrast
from dsp_batch.model.frame import StoredFrame
from dsp_batch.render.compose import PictureSet, compose_pictures
from dsp_batch.render.draw import Layout, Tiles, draw_tiles

_FLAT_TILE = 0.995
"""Share of the pixels of a tile that are black, or white, where the object's own window shows nothing."""

_FLAT_PICTURE = 0.96
"""Share of the pixels of all tiles that are black, or white, where the percentiles of their values show nothing."""


def draw_visibly(chosen: PictureSet, contrast: Contrast, layout: Layout) -> Tiles:
    """Draw tiles, and again under another window where theirs leaves nothing to see.

    The object's own window gives way to the percentiles of the values, and these to the full range of the values. A
    window that was asked for stays.
    """
    tiles = draw_tiles(chosen, (contrast,), layout)
    if contrast.kind == "embedded" and tiles.window_source == "embedded" and _are_mostly_flat(tiles):
        tiles = draw_tiles(chosen, (AUTO,), layout)
    if tiles.window_source == "auto" and _is_flat(tiles):
        window = full_window(each for each in compose_pictures(chosen) if isinstance(each, StoredFrame))
        if window is not None:
            full = draw_tiles(chosen, (Contrast(kind="window", window=window),), layout)
            tiles = replace(full, window_source="auto")
    return tiles


def _are_mostly_flat(tiles: Tiles) -> bool:
    """Tell whether more than half of the tiles are all black or all white though their values differ."""
    flat = [each.varies and max(each.black, each.white) >= _FLAT_TILE * each.pixels for each in tiles.exposures]
    return 2 * sum(flat) > len(flat)


def _is_flat(tiles: Tiles) -> bool:
    """Tell whether the picture is all but black or all but white though its values differ."""
    pixels = sum(each.pixels for each in tiles.exposures)
    most = max(sum(each.black for each in tiles.exposures), sum(each.white for each in tiles.exposures))
    return most >= _FLAT_PICTURE * pixels and any(each.varies for each in tiles.exposures)
