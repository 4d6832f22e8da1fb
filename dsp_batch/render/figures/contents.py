"""Read the instances of an object that shows no image, with the large values that it is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.dictionary import tag_of
from dsp_batch.errors import DspBatchError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.series import ObjectInfo
from dsp_batch.render.compose import FrameSource
from dsp_batch.render.read import read_with_bulk

MOST_BYTES = 32 << 20
"""Bytes of large values that are read of a series."""

MOST_OBJECTS = 36
"""Objects of a series that are read for their large values."""

_PASSING = ("network", "timeout", "access-denied")
"""Reasons that hold for the whole series, and may not hold the next time."""


def read_contents(
    index: SeriesIndex, source: FrameSource, reads: Sequence[str], rows: Sequence[int]
) -> tuple[Mapping[int, Attributes], tuple[str, ...]]:
    """Read the headers of instances, and the large values that they are drawn from as far as there is room for them.

    Args:
        index: The series.
        source: The source of its objects.
        reads: Keywords, or names `gggg_eeee`, of the large values.
        rows: The instances.

    Returns:
        The headers by row, and sentences about what was left out.

    Raises:
        StorageError: An object could not be read, for a reason that may pass.
    """
    headers = {row: index.attributes(row) for row in rows}
    tags = frozenset(tag for keyword in reads if (tag := tag_of(keyword)) is not None)
    sizes = _list_sizes(index, reads)
    wanted: list[int] = []
    left_out, total = 0, 0
    for row in rows:
        if not sizes.get(row):
            continue
        total += sizes[row]
        if total > MOST_BYTES or len(wanted) >= MOST_OBJECTS:
            left_out += 1
        else:
            wanted.append(row)
    notes = []
    if left_out:
        notes.append("1 object is too large to read" if left_out == 1 else f"{left_out} objects are too large to read")
    for row, found in _read(index, source, wanted, tags).items():
        if isinstance(found, Attributes):
            headers[row] = found
        elif found.reason in _PASSING:
            raise found
        else:
            notes.append(f"{index.values('FileName')[row]}: {found.message}")
    return headers, tuple(notes)


def _list_sizes(index: SeriesIndex, reads: Sequence[str]) -> dict[int, int]:
    """List the bytes of the values that the index has not, by row."""
    columns = [index.values(f"{keyword}_Size") for keyword in reads if index.has(f"{keyword}_Size")]
    return {row: sum(size or 0 for size in sizes) for row, sizes in enumerate(zip(*columns, strict=True))}


def _read(
    index: SeriesIndex, source: FrameSource, rows: list[int], tags: frozenset[int]
) -> dict[int, Attributes | DspBatchError]:
    """Read headers with large values, from objects in memory or from storage."""
    names, sizes = index.object_names, index.values("ObjectSize")
    readers = {ObjectInfo(name=names[row], size=sizes[row]): partial(read_with_bulk, index, row, tags) for row in rows}
    found: dict[str, Attributes | DspBatchError] = {}
    for info, read in readers.items():
        if (body := index.bodies.get(info.name)) is not None:
            try:
                found[info.name] = read_bytes(read(), body)
            except DspBatchError as error:
                found[info.name] = error
    missing = {info: read() for info, read in readers.items() if info.name not in found}
    found.update(source.store.read(index.objects_folder, missing, timeout=source.timeout))
    return {row: found[names[row]] for row in rows}
