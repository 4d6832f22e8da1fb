"""Figures: what an object without pixels shows by itself, such as a solid, curves or a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dsp_batch.model.series import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """Surfaces of one or more models."""

    triangles: FloatArray
    """Corners of the triangles, shape (triangles, 3 corners, 3 coordinates), in mm where `in_mm`, else without a unit.
    Coordinates of models of patients are toward the left, the back and the head."""

    colors: FloatArray
    """Red, green and blue of each triangle, 0 … 255, shape (triangles, 3)."""

    in_mm: bool
    """True where the object tells its unit."""

    count: int
    """Number of triangles of the models, before some of them were joined."""

    notes: tuple[str, ...] = ()
    """Sentences that say what was left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """One channel of a recording."""

    label: str
    values: FloatArray
    """Values in `unit`; NaN where the channel has none."""

    unit: str
    """Unit as a code of UCUM; empty where the object tells none."""

    delay: float = 0.0
    """Seconds from the start of the recording to the first value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """Channels that were sampled at the same time."""

    form: Literal["ecg", "audio", "traces"]
    rate: float
    """Values in a second."""

    traces: tuple[Trace, ...]
    name: str = ""
    """Label of the multiplex group; empty for none."""

    notes: tuple[str, ...] = ()
    """Sentences that say what was left out."""

    @property
    def seconds(self) -> float:
        """Return how long the recording is."""
        return max((trace.delay + len(trace.values) / self.rate for trace in self.traces), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectra:
    """Spectra of a grid of voxels."""

    values: FloatArray
    """Magnitudes, or the real part where nothing else is stored; shape (rows, columns, points)."""

    first_ppm: float
    """Chemical shift of the first point: the largest."""

    last_ppm: float
    """Chemical shift of the last point."""

    nucleus: str
    """Resonant Nucleus (0018,9100); empty where the object does not tell it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    """A document of pages: PDF."""

    data: bytes


Figure = Solid | Recording | Spectra | Document
