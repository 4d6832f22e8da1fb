"""Read bulk annotations: all points of small objects, and points spread evenly over large ones (PS3.3 C.37.1.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.dicom.syntaxes import DEFLATED
from dsp_batch.model.ranges import ByteRange, Reader
from dsp_batch.model.series import FloatArray, InstanceHeader, IntArray, NestedValue

MOST_SHAPES = 5_000
"""Annotations that are read one by one, at most; of more their density is shown."""

MOST_BYTES = 1 << 20
"""Bytes of coordinates that are read, at most."""

_RANGE = 4096
"""Bytes of one sample. Many small ones find clusters that a few large ones miss."""

_LEAST_GAP = 16 * 1024
"""Distance of samples that storage does not fetch as one."""

_FLOAT, _DOUBLE, _INDICES = 0x00660016, 0x00660022, 0x00660040
"""Tags of Point Coordinates Data, of Double Point Coordinates Data and of Long Primitive Point Index List."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointGroup:
    """The points of one annotation group, or a sample of them."""

    label: str
    graphic: str
    """Graphic Type (0070,0023)."""

    count: int
    """Number of annotations."""

    points: FloatArray
    """Coordinates, shape (n, 2) or (n, 3): pixels of the total matrix, or mm on the slide."""

    starts: IntArray | None
    """First point of each annotation, where all points were read; None for a sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where the coordinates of a group are."""

    label: str
    graphic: str
    told: int | None
    """Number of Annotations (006A,000C)."""

    dimensions: int
    dtype: str
    kept: bytes | None
    """Coordinates that came with the header."""

    coordinates: NestedValue | None
    """Coordinates that were left in the object."""

    kept_indices: bytes | None
    indices: NestedValue | None
    order: str

    @property
    def size(self) -> int:
        """Return the bytes of the coordinates."""
        return len(self.kept or b"") if self.coordinates is None else self.coordinates.length

    @property
    def point_bytes(self) -> int:
        """Return the bytes of a point."""
        return self.dimensions * int(self.dtype[-1])


def read_annotations(name: str, size: int | None) -> Reader[tuple[PointGroup, ...]]:
    """Read the annotation groups of one object.

    Args:
        name: Object name.
        size: Number of bytes of the object as listed; None where unknown.

    Returns:
        A reader of the groups, in their order. It asks for the header, and for at most `MOST_BYTES` more: for all
        points of a group, else for samples spread evenly over them, because the order of annotations in a file is often
        that of tiles.

    Raises:
        HeaderError: The object is no DICOM, or damaged.
    """
    header = yield from read_header(name, size)
    if header.transfer_syntax_uid == DEFLATED and header.nested:
        header = yield from read_header(name, size, bulk=None)  # ranges of a deflated object are none of its values
    sources = list(_list_sources(header))
    is_whole = sum(each.size for each in sources) <= MOST_BYTES and _count(sources) <= MOST_SHAPES
    groups: list[PointGroup] = []
    total = sum(each.size for each in sources if each.coordinates) or 1
    for source in sources:
        coordinates = source.kept or b""
        if source.coordinates is not None:
            budget = MOST_BYTES if is_whole else MOST_BYTES * source.size // total
            coordinates = yield from _sample(source.coordinates, source.point_bytes, budget)
        indices = source.kept_indices
        if is_whole and source.indices is not None:
            reply = yield (ByteRange(source.indices.start, source.indices.start + source.indices.length),)
            indices = bytes(reply.parts[0])
        groups.append(_build_group(source, coordinates, indices, is_whole=is_whole))
    return tuple(groups)


def _list_sources(header: InstanceHeader) -> Iterator[_Source]:
    attributes = HeaderDecoder(header).attributes()
    is_flat = attributes.text("AnnotationCoordinateType") != "3D"
    order = ">" if header.big_endian else "<"
    for number, item in enumerate(attributes.items("AnnotationGroupSequence")):
        left_out = {each.tag: each for each in header.nested if each.item == number}
        doubles = item.binary("DoublePointCoordinatesData")
        is_double = doubles is not None or _DOUBLE in left_out
        yield _Source(
            label=_name_group(item, number + 1),
            graphic=item.text("GraphicType") or "",
            told=item.integer("NumberOfAnnotations"),
            dimensions=2 if is_flat or "CommonZCoordinateValue" in item else 3,
            dtype=f"{order}f{8 if is_double else 4}",
            kept=doubles if is_double else item.binary("PointCoordinatesData"),
            coordinates=left_out.get(_DOUBLE if is_double else _FLOAT),
            kept_indices=item.binary("LongPrimitivePointIndexList"),
            indices=left_out.get(_INDICES),
            order=order,
        )


def _name_group(item: Attributes, number: int) -> str:
    label = item.text("AnnotationGroupLabel")
    return label or str(read_code(item, "AnnotationPropertyTypeCodeSequence")) or f"Group {number}"


_POINTS_EACH = {"POINT": 1, "ELLIPSE": 4, "RECTANGLE": 4}
"""Points of each annotation, for graphic types that need no index list."""


def _count(sources: Sequence[_Source]) -> int:
    return sum(_count_annotations(each) for each in sources)


def _count_annotations(source: _Source) -> int:
    """Count annotations: as told, else by the index list, else by the points."""
    if source.told is not None:
        return max(source.told, 0)
    listed = source.indices.length if source.indices else len(source.kept_indices or b"")
    return listed // 4 or source.size // source.point_bytes // _POINTS_EACH.get(source.graphic, 1)


def _sample(value: NestedValue, unit: int, budget: int) -> Reader[bytes]:
    """Read a value, or parts of it spread evenly, each of whole points."""
    if value.length <= budget:
        reply = yield (ByteRange(value.start, value.start + value.length),)
        return bytes(reply.parts[0])
    count = max(budget // _RANGE, 1)
    length = max(_RANGE // unit, 1) * unit
    starts = [place // unit * unit for place in np.linspace(0, value.length - length, count).astype(int).tolist()]
    parts: list[bytes] = []
    # Neighbours in different steps: storage would fetch near ones, and all between them, in one request.
    steps = max(-(-_LEAST_GAP * count // value.length), 1)
    for step in range(steps):
        ranges = [ByteRange(value.start + each, value.start + each + length) for each in starts[step::steps]]
        if ranges:
            reply = yield ranges
            parts += map(bytes, reply.parts)
    return b"".join(part for part in parts if len(part) == length)


def _build_group(source: _Source, coordinates: bytes, indices: bytes | None, *, is_whole: bool) -> PointGroup:
    unit = source.point_bytes
    numbers = np.frombuffer(coordinates[: len(coordinates) // unit * unit], source.dtype).astype(np.float64)
    points = numbers.reshape(-1, source.dimensions)
    starts = _find_starts(source, len(points), indices) if is_whole else None
    if starts is None:
        points = points[np.isfinite(points).all(1)]
    return PointGroup(
        label=source.label,
        graphic=source.graphic,
        count=_count_annotations(source),
        points=points,
        starts=starts,
    )


def _find_starts(source: _Source, n_points: int, indices: bytes | None) -> IntArray | None:
    """Find the first point of each annotation; None where the index list makes no sense.

    The list counts coordinates from 1: that of the second of two points of a plane is 3.
    """
    each = _POINTS_EACH.get(source.graphic)
    if each is not None:
        return np.arange(0, n_points - n_points % each, each)
    if not indices:
        return np.zeros(1 if n_points else 0, np.int64)
    listed = np.frombuffer(indices[: len(indices) // 4 * 4], f"{source.order}u4").astype(np.int64) - 1
    starts = listed // source.dimensions
    is_sound = len(starts) and (np.diff(starts) > 0).all() and starts[0] >= 0 and starts[-1] < n_points
    return starts if is_sound else None
