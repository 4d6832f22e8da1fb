"""The images of a whole slide: each is one resolution of it, in tiles, in one object or several (PS3.3 C.8.12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.kinds.kind import Contents, Instances
from dsp_batch.model.series import FrameRef

_PIXEL_BYTES = 3
"""Bytes of a pixel in RGB, for objects whose size is unknown."""

TileOffset = tuple[int, int]
"""Row and column of a tile's first pixel in the total pixel matrix, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One image of a slide at one resolution."""

    parts: Instances
    """The instances that hold it, in the order of their frames."""

    matrix: tuple[int, int]
    """Rows and columns of the total pixel matrix."""

    tile: tuple[int, int]
    """Rows and columns of a tile."""

    stored_bytes: int
    """Bytes of its tiles as they are stored, of the first focal plane and optical path."""

    @property
    def pixels(self) -> int:
        """Pixels of the total pixel matrix."""
        return self.matrix[0] * self.matrix[1]

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles below each other, and side by side."""
        return -(-self.matrix[0] // self.tile[0]), -(-self.matrix[1] // self.tile[1])

    def lay_out_tiles(self) -> dict[TileOffset, FrameRef]:
        """Find where each tile goes: offset → the first tile there."""
        tiles: dict[TileOffset, FrameRef] = {}
        for row, attributes in self.parts.items():
            for frame, offset in self._list_offsets(attributes):
                tiles.setdefault(offset, FrameRef(row, frame))
        return tiles

    def _list_offsets(self, attributes: Attributes) -> Iterator[tuple[int, TileOffset]]:
        """Frames of a part, and where each goes: of TILED_FULL only those of the first focal plane and optical path.

        Focal planes and optical paths of a TILED_FULL image follow one another, each a whole matrix of tiles, counted
        through all instances of a concatenation (PS3.3 C.7.6.17.3).
        """
        n_frames, (rows, columns), (down, across) = _count_frames(attributes), self.tile, self.grid
        is_full = (attributes.text("DimensionOrganizationType") or "").upper() == "TILED_FULL"
        if is_full or not attributes.items("PerFrameFunctionalGroupsSequence"):
            first = _first_frame(attributes)
            for number in range(first, min(first + n_frames, across * down)):
                yield number - first, (number // across * rows, number % across * columns)
            return
        for frame in range(n_frames):
            position = frame_macro(attributes, frame, "PlanePositionSlideSequence")
            row = position.integer("RowPositionInTotalImagePixelMatrix")
            column = position.integer("ColumnPositionInTotalImagePixelMatrix")
            yield frame, ((row or 1) - 1, (column or 1) - 1)


def list_levels(contents: Contents, rows: Sequence[int]) -> list[Level]:
    """List the images that some instances of a slide hold; those that tell of no pixel are left out."""
    found = dict.fromkeys(tuple(_join_concatenation(contents.instances, row)) for row in rows)
    levels = [_describe_level(contents, {row: contents.instances[row] for row in parts}) for parts in found]
    return [level for level in levels if min(*level.matrix, *level.tile) > 0]


def _describe_level(contents: Contents, parts: Instances) -> Level:
    """Describe a level by the first of its instances, and weigh it by all of them."""
    first = next(iter(parts.values()))
    tile = first.integer("Rows") or 0, first.integer("Columns") or 0
    matrix = first.integer("TotalPixelMatrixRows") or tile[0], first.integer("TotalPixelMatrixColumns") or tile[1]
    frames = sum(map(_count_frames, parts.values()))
    sizes = [contents.sizes.get(row) for row in parts]
    stored = sum(size or 0 for size in sizes) if all(sizes) else frames * tile[0] * tile[1] * _PIXEL_BYTES
    level = Level(parts=parts, matrix=matrix, tile=tile, stored_bytes=stored)
    if min(*matrix, *tile) <= 0:
        return level
    down, across = level.grid
    return replace(level, stored_bytes=int(stored * min(down * across / frames, 1.0)))


def _join_concatenation(instances: Instances, chosen: int) -> list[int]:
    """Rows of the instances that one image was split into, in its order (PS3.3 C.7.6.16.2.2.4)."""
    uid = instances[chosen].text("ConcatenationUID")
    if uid is None:
        return [chosen]
    parts = [row for row, attributes in instances.items() if attributes.text("ConcatenationUID") == uid]
    return sorted(parts, key=lambda row: (_first_frame(instances[row]), row))


def _count_frames(attributes: Attributes) -> int:
    return max(attributes.integer("NumberOfFrames") or 1, 1)


def _first_frame(attributes: Attributes) -> int:
    """Frames of a concatenation that lie in the instances before this one (0020,9228)."""
    return max(attributes.integer("ConcatenationFrameOffsetNumber") or 0, 0)
