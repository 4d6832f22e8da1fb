"""What a series takes in memory, told before it takes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dsp_batch.errors import SeriesError
from dsp_batch.index.parquet import SeriesIndex
from dsp_batch.model.ranges import Reader
from dsp_batch.model.series import InstanceHeader

MAX_READ = 64 << 20
"""Bytes of frames, as they are once decoded, that are read at once: 128 frames of a CT, 6 of a mammogram."""

_ELEMENT_BYTES = 150
"""Of each element of a header that is held, beside its value."""

_UNFOLDED = 40
"""Bytes in memory for each byte of the header that is just being made a row of an index: nested sequences become Python
values. Measured: 35 for the functional groups of 5,000 frames."""

_COPIES = 4
"""Of the largest frame, while it is drawn: encoded, decoded, windowed, and what these steps need."""

_PIXEL_COUNTS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")


@dataclass(slots=True, kw_only=True)
class HeaderMeter:
    """Weighs the headers of a series as they come, and stops where they take more memory than they may."""

    url: str
    """The series, for messages."""

    count: int
    """Its objects."""

    limit: int | None = None
    """Bytes; None for no limit."""

    _held: int = 0
    _largest: int = 0

    def weigh(self, reader: Reader[InstanceHeader]) -> Reader[InstanceHeader]:
        """Read a header, and add what it takes.

        Raises:
            SeriesError: It is too much; the headers that come after it are not read any more.
        """
        self._check()
        read = 0
        try:
            ranges = next(reader)
            while True:
                reply = yield ranges
                read += sum(map(len, reply.parts))
                ranges = reader.send(reply)
        except StopIteration as stop:
            header: InstanceHeader = stop.value
        self._held += read + _ELEMENT_BYTES * len(header.elements)
        pixels = header.pixel_data_offset or header.fragments_offset or read
        self._largest = max(self._largest, min(read, pixels))
        self._check()
        return header

    def _check(self) -> None:
        needed = self._held + _UNFOLDED * self._largest
        if self.limit is not None and needed > self.limit:
            what = (
                f"the headers of the {self.count} objects of {self.url} take" if self.count > 1 else f"{self.url} takes"
            )
            raise out_of_memory(what, needed, self.limit)


def count_drawing_bytes(index: SeriesIndex, tiles: int) -> int:
    """Bytes that drawing a series takes at most, as its index tells: a group of its frames, and copies of one."""
    columns: list[Iterable[Any]] = [index.values(name) if index.has(name) else [None] for name in _PIXEL_COUNTS]
    rows, width, samples, bits = (max((n for n in column if isinstance(n, int)), default=1) for column in columns)
    frame = rows * width * samples * -(-bits // 8)
    return 2 * min(MAX_READ, tiles * frame) + _COPIES * frame


def out_of_memory(what: str, needed: int, limit: int) -> SeriesError:
    """The error of a series that takes more memory than it may."""
    megabytes = f"{max(needed, 0) / 1e6:,.0f} MB or more, and a worker has {limit / 1e6:,.0f} MB for a series"
    return SeriesError(f"{what} {megabytes}: run it where workers have more memory", "out-of-memory")
