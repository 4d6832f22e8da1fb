"""Atlases: pictures of 16 × 16 thumbnails, for an overview of thousands of series."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

import numpy as np

from dsp_batch.cache import Cache
from dsp_batch.core.encoding import decode_image, encode_image, resize_image
from dsp_batch.errors import DspBatchError
from dsp_batch.model.series import ByteArray, IntArray
from dsp_batch.web.files import Files
from dsp_batch.web.rows import list_pictures
from dsp_batch.web.table import GalleryTable

_log = logging.getLogger(__name__)

MOST_BY_DEFAULT = 50_000
"""Series that atlases are made of without being asked for: every preview is read for them."""

SIDE = 16
"""Thumbnails in a row, and rows."""

THUMBNAIL = 64
"""Width and height of a thumbnail in pixels."""

_QUALITY = 50


def write_atlases(cache: Cache, table: GalleryTable, order: IntArray, files: Files) -> list[str]:
    """Write the atlases of all rows, 256 rows each; those that are there from before are kept.

    Returns:
        Their names.
    """
    there = files.list("data")
    names = []
    for number, start in enumerate(range(0, len(order), SIDE * SIDE)):
        columns = table.read(order[start : start + SIDE * SIDE])
        keys, grids = list_pictures(columns), columns.get("grid", [None] * len(columns["series_uuid"]))
        digest = hashlib.sha256(repr((keys, grids)).encode()).hexdigest()[:12]
        name = f"data/atlas-{number:04d}-{digest}.webp"
        if name in there:
            files.written.add(name)
        else:
            thumbnails = [_read_thumbnail(cache, key, grid) for key, grid in zip(keys, grids, strict=True)]
            files.write(name, encode_image(_compose(thumbnails), ".webp", _QUALITY))
        names.append(name)
    return names


def _read_thumbnail(cache: Cache, key: str | None, grid: str | None) -> ByteArray | None:
    data = cache.read(key) if key else None
    if data is None:
        return None
    try:
        pixels = decode_image(data)
    except DspBatchError as error:
        _log.warning("no thumbnail of %s: %s", key, error.message)
        return None
    pixels = _choose_tile(pixels, grid)
    height, width = pixels.shape[:2]
    scale = THUMBNAIL / max(height, width)
    return resize_image(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))


def _choose_tile(pixels: ByteArray, grid: str | None) -> ByteArray:
    """Cut the middle tile out of a grid: the face of a series."""
    if grid is None:
        return pixels
    columns, rows, width, height, *blank = map(int, grid.split())
    filled = [place for place in range(columns * rows) if place not in blank] or [0]
    row, column = divmod(filled[len(filled) // 2], columns)
    tile = pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]
    return tile if tile.size else pixels


def _compose(thumbnails: Sequence[ByteArray | None]) -> ByteArray:
    atlas = np.zeros((SIDE * THUMBNAIL, SIDE * THUMBNAIL, 3), np.uint8)
    for place, pixels in enumerate(thumbnails):
        if pixels is not None:
            height, width = pixels.shape[:2]
            row, column = divmod(place, SIDE)
            top, left = row * THUMBNAIL + (THUMBNAIL - height) // 2, column * THUMBNAIL + (THUMBNAIL - width) // 2
            atlas[top : top + height, left : left + width] = pixels
    return atlas
