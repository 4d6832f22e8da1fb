"""A driver of readers that answers exact ranges from memory and writes down what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

from dsp_batch.model.ranges import ByteRange, Reader, Reply, T


@dataclass
class Recording(Generic[T]):
    """What a reader asked for, and what it returned."""

    steps: list[tuple[ByteRange, ...]] = field(default_factory=list)
    bytes_read: int = 0
    value: T | None = None

    @property
    def ranges(self) -> list[ByteRange]:
        """All ranges, step by step."""
        return [each for step in self.steps for each in step]


def record_reader(reader: Reader[T], data: bytes) -> Recording[T]:
    """Run a reader over an object in memory; ranges beyond the end are answered short, as by a server."""
    recording: Recording[T] = Recording()
    try:
        ranges = next(reader)
        while True:
            recording.steps.append(tuple(ranges))
            parts = [data[each.start : each.stop] for each in ranges]
            recording.bytes_read += sum(map(len, parts))
            ranges = reader.send(Reply(parts, len(data)))
    except StopIteration as stop:
        recording.value = stop.value
    return recording
