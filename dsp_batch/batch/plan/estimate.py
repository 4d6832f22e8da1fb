"""The work that a series takes, estimated before anything of it is read: requests, bytes, seconds.

The figures are averages over the Imaging Data Commons, for plans and for cutting shards. They promise nothing about one
series.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from dsp_batch.core.tiling import MOST_TILES
from dsp_batch.dicom.sop_classes import RAW_DATA_STORAGE, lacks_pixels
from dsp_batch.options import CineOptions, ContrastMosaicOptions, ImageOptions, MosaicOptions, Options, PreviewOptions

SERIES_AT_ONCE = 4
"""Series of one shard that are worked on at the same time. While one waits for storage, another computes."""

_STORAGE = "1.2.840.10008.5.1.4.1.1"

_LIST_PAGE = 1_000
"""Keys in one answer to an S3 listing."""

_REQUESTS_IN_FLIGHT = 64
"""Requests of one series that are in flight at the same time."""

_SECONDS_PER_REQUEST = 0.0003
"""CPU seconds of one request."""

_SECONDS_PER_HEADER = 0.0007
"""CPU seconds of parsing the header of a single-frame image."""

_SECONDS_PER_FRAME = 0.004
"""CPU seconds of decoding, windowing and fitting one frame of 512 × 512."""

_SECONDS_PER_IMAGE = 0.03
"""CPU seconds of encoding a mosaic."""

_WHOLE_OBJECT = 1 << 20
"""Bytes of the largest object without pixels that is read in one request."""

_LARGEST_PART = 4 << 20
"""Bytes of the parts in which larger ones are read."""

_FIRST_PARTS = 3
"""Further requests for the beginning of a large object. Where it tells the lengths of its sequences, few are needed."""

_ANNOTATIONS = f"{_STORAGE}.91.1"
_ANNOTATION_PARTS, _SAMPLES, _SAMPLE_BYTES = 6, 256, 4_900
"""Requests for what is told of annotations, and for samples of their points; and bytes of each."""

_REPORTS = f"{_STORAGE}.88."
_SECONDS_PER_BYTE = 0.08e-6
_SECONDS_PER_BYTE_OF_REPORT = 0.4e-6
"""CPU seconds of reading a byte of an object without pixels, and describing it. Reports are nothing but short
elements; most of other objects are long values."""

_SECONDS_PER_CARD = 0.06
"""CPU seconds of drawing an object without pixels, from a card of text to a solid, and of encoding it."""

_TYPICAL_OBJECT = 500_000
"""Bytes of an object where only the size of the series is known, or not even that."""


class Shape(NamedTuple):
    """Typical sizes of the objects of a SOP class."""

    header_bytes: int
    """Bytes of the header of one object."""

    frames: int
    """Frames of one object."""

    frames_drawn: int | None = None
    """Frames that are read of a series, whatever its length; None for one a tile."""


_PLAIN = Shape(header_bytes=12_000, frames=1)
_SHAPES = {
    f"{_STORAGE}.66.4": Shape(header_bytes=1_500_000, frames=600),  # Segmentation: an item a frame in the header
    f"{_STORAGE}.77.1.6": Shape(header_bytes=60_000, frames=1_500, frames_drawn=16),  # Whole slide: one small level
    f"{_STORAGE}.13.1.3": Shape(header_bytes=100_000, frames=60),  # Breast Tomosynthesis
    f"{_STORAGE}.3.1": Shape(header_bytes=12_000, frames=50),  # Ultrasound Multi-frame
    f"{_STORAGE}.2.1": Shape(header_bytes=500_000, frames=150),  # Enhanced CT
    f"{_STORAGE}.4.1": Shape(header_bytes=500_000, frames=150),  # Enhanced MR
    f"{_STORAGE}.130": Shape(header_bytes=500_000, frames=150),  # Enhanced PET
    f"{_STORAGE}.30": Shape(header_bytes=200_000, frames=50),  # Parametric Map
    f"{_STORAGE}.481.2": Shape(header_bytes=12_000, frames=100),  # RT Dose
}
"""SOP class → how its objects are made; all others hold one frame behind a short header."""

_CLASSES = {
    "SEG": f"{_STORAGE}.66.4",
    "SM": f"{_STORAGE}.77.1.6",
    "RTDOSE": f"{_STORAGE}.481.2",
    "SR": f"{_STORAGE}.88.33",
    "KO": f"{_STORAGE}.88.59",
    "PR": f"{_STORAGE}.11.1",
    "RTSTRUCT": f"{_STORAGE}.481.3",
    "RTPLAN": f"{_STORAGE}.481.5",
    "ANN": f"{_STORAGE}.91.1",
    "REG": f"{_STORAGE}.66.1",
    "M3D": f"{_STORAGE}.104.3",
}
"""Modality → the SOP class that nearly all of its series are of, where its objects are not made as most are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """Facts of a series that are known before anything of it is read; None for those that are not."""

    sop_class_uid: str | None = None
    modality: str | None = None
    n_instances: int | None = None
    size: int | None = None
    """Bytes of all objects."""


def build_facts(
    modality: str | None, sop_class_uid: str | None, n_instances: int | None, size_mb: float | None
) -> SeriesFacts:
    """Make the facts of a series from IDC's columns, which give sizes in millions of bytes."""
    return SeriesFacts(
        modality=modality,
        sop_class_uid=sop_class_uid,
        n_instances=n_instances,
        size=None if size_mb is None else round(size_mb * 1e6),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work that a series is expected to take."""

    objects: int
    requests: int
    bytes_read: int
    cpu_seconds: float
    round_trips: int
    """Waits for storage that follow one another. Requests in flight at the same time are one wait."""

    def seconds(self, latency: float) -> float:
        """Compute the seconds of one worker thread, when storage takes `latency` seconds to answer."""
        return self.cpu_seconds + self.round_trips * latency


def count_tiles(options: Options) -> int:
    """Count the frames that a preview shows at most; 0 when only an index is built."""
    if isinstance(options, PreviewOptions):
        return MOST_TILES
    if isinstance(options, MosaicOptions):
        return math.prod(options.grid)
    if isinstance(options, CineOptions):
        return options.frames
    if isinstance(options, ContrastMosaicOptions):
        return 1 if options.position is not None else options.tile_height
    return 1 if isinstance(options, ImageOptions) else 0


def estimate_work(facts: SeriesFacts, tiles: int) -> Work:
    """Estimate the work of a series: listing it, a header of each object, and the frames of its preview.

    Objects without pixels are nothing but header, and are read whole.

    Args:
        facts: Facts of the series; typical values stand in for those that are not known.
        tiles: As `count_tiles` gives it.
    """
    sop_class_uid = facts.sop_class_uid or _CLASSES.get(facts.modality or "", "")
    if lacks_pixels(sop_class_uid) and sop_class_uid != RAW_DATA_STORAGE:
        return _estimate_reading(facts, sop_class_uid, is_drawn=tiles > 0)
    shape = _SHAPES.get(sop_class_uid, _PLAIN)
    objects = facts.n_instances or max(1, round((facts.size or 0) / _TYPICAL_OBJECT))
    object_bytes = _TYPICAL_OBJECT if facts.size is None else facts.size / objects
    has_frames = tiles and sop_class_uid != RAW_DATA_STORAGE
    drawn = min(objects * shape.frames, shape.frames_drawn or tiles) if has_frames else 0
    pages = math.ceil(objects / _LIST_PAGE)
    requests = pages + objects + drawn
    header_bytes = min(shape.header_bytes, object_bytes)
    cpu = requests * _SECONDS_PER_REQUEST + objects * _SECONDS_PER_HEADER * header_bytes / _PLAIN.header_bytes
    return Work(
        objects=objects,
        requests=requests,
        bytes_read=round(objects * header_bytes + drawn * object_bytes / shape.frames),
        cpu_seconds=cpu + drawn * _SECONDS_PER_FRAME + (_SECONDS_PER_IMAGE if tiles else 0),
        round_trips=pages + math.ceil(objects / _REQUESTS_IN_FLIGHT) + math.ceil(drawn / _REQUESTS_IN_FLIGHT),
    )


def _estimate_reading(facts: SeriesFacts, sop_class_uid: str, *, is_drawn: bool) -> Work:
    """Estimate the work of a series whose objects are read whole."""
    objects = facts.n_instances or max(1, round((facts.size or 0) / _TYPICAL_OBJECT))
    size = objects * _TYPICAL_OBJECT if facts.size is None else facts.size
    is_large = size > objects * _WHOLE_OBJECT
    parts = _FIRST_PARTS + math.ceil(size / objects / _LARGEST_PART) if is_large else 1
    if is_large and sop_class_uid == _ANNOTATIONS:
        parts = _ANNOTATION_PARTS + (_SAMPLES if is_drawn else 0)
        size = min(size, objects * parts * _SAMPLE_BYTES)
    pages = math.ceil(objects / _LIST_PAGE)
    requests = pages + objects * parts
    a_byte = _SECONDS_PER_BYTE_OF_REPORT if sop_class_uid.startswith(_REPORTS) else _SECONDS_PER_BYTE
    return Work(
        objects=objects,
        requests=requests,
        bytes_read=size,
        cpu_seconds=requests * _SECONDS_PER_REQUEST + size * a_byte + (_SECONDS_PER_CARD if is_drawn else 0),
        round_trips=pages + parts * math.ceil(objects / _REQUESTS_IN_FLIGHT),
    )
