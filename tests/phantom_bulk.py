"""Generate large series for tests and benchmarks: few objects are built, all others are patched copies."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from dsp_batch.phantom.bodies import head_signal, torso_hounsfield
from dsp_batch.phantom.modules import clock, ct_attributes, mr_attributes
from dsp_batch.phantom.objects import (
    ElementValues,
    FrameArray,
    PhantomSeries,
    SharedHeader,
    build_series,
    encode_elements,
    encode_header,
    phantom_uid,
    write_object,
)
from dsp_batch.phantom.shapes import cut_stack, noise

_DISTINCT_PICTURES = 12
_CREATOR = "DSP_BATCH PHANTOM"

# What the copies change stands in the template as these texts, which occur nowhere else and keep their lengths.
_INSTANCE_UID = phantom_uid("template/instance")
_SERIES_UID = phantom_uid("template/series")
_STUDY_UID = phantom_uid("template/study")
_NUMBER = "-98765"
_POSITION = "-54321.25"
_TIME = "235959.987654"
_CHANGED = re.compile(
    b"("
    + b"|".join(re.escape(t.encode()) for t in (_INSTANCE_UID, _SERIES_UID, _STUDY_UID, _NUMBER, _POSITION, _TIME))
    + b")"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkLayout:
    """The sizes of the objects of a large series, and of their parts."""

    title: str
    body: Literal["torso", "head"]
    """Body that is scanned: the torso by signed CT, the head by 12-bit MR."""

    rows: int
    columns: int
    count: int
    """Number of objects."""

    elements: int
    """Number of top-level elements of the dataset, with Pixel Data, without file meta information."""

    header_bytes: int
    """Number of bytes before the Pixel Data element in the file; one more or less where that is odd."""

    block_tag: int | None = None
    """Tag of a large private element."""

    block_bytes: int = 0
    """Number of bytes of the large private element; even."""


CT300 = BulkLayout(
    title="Bulk CT, 300 slices", body="torso", rows=512, columns=512, count=300, elements=260, header_bytes=6400
)
"""A common CT: half a megabyte and 260 elements an object."""

MR1008 = BulkLayout(
    title="Bulk MR, block behind group 0028",
    body="head",
    rows=88,
    columns=86,
    count=1008,
    elements=160,
    header_bytes=135_000,
    block_tag=0x00291010,
    block_bytes=126_000,
)
"""Many small MR images behind a large private block, as Siemens writes them."""

MR63 = BulkLayout(
    title="Bulk MR, block before group 0028",
    body="head",
    rows=288,
    columns=288,
    count=63,
    elements=200,
    header_bytes=170_000,
    block_tag=0x00251001,
    block_bytes=161_000,
)
"""A large private block between the geometry and group 0028."""

GE151 = BulkLayout(
    title="Bulk MR, small objects", body="head", rows=90, columns=90, count=151, elements=341, header_bytes=9000
)
"""Objects of 25 KB with many private elements, as GE writes them."""


def build_bulk(layout: BulkLayout, *, name: str | None = None, count: int | None = None) -> PhantomSeries:
    """Build a series of a layout, in memory as a whole.

    Args:
        layout: A layout, for example `CT300` (159 MB).
        name: Text that decides UUIDs and UIDs; the layout's title by default.
        count: Number of objects; the layout's by default.
    """
    name, count = name or layout.title, count or layout.count
    templates = [t.rename(name) for t in _build_templates(layout, min(count, _DISTINCT_PICTURES))]

    def write(number: int) -> bytes:
        template = templates[number * len(templates) // count]
        return template.copy(name, number, 1.25 * (number - (count - 1) / 2))

    return build_series(name, layout.title, map(write, range(count)))


def build_many(count: int, name: str = "many") -> Iterator[PhantomSeries]:
    """Build many series of one, two or three tiny CT objects (16 × 16).

    Args:
        count: Number of series.
        name: Text that decides UUIDs and UIDs.
    """
    tiny = replace(CT300, title="Tiny CT", rows=16, columns=16, elements=0, header_bytes=0)
    (template,) = _build_templates(tiny, 1)
    for series in range(count):
        own = f"{name}/{series}"
        renamed = template.rename(own)
        objects = [renamed.copy(own, number, 5.0 * number) for number in range(1 + series % 3)]
        yield build_series(own, tiny.title, objects)


class _Template(NamedTuple):
    """One object, cut into parts so that copies of it are put together quickly."""

    parts: tuple[bytes, ...]
    """Parts of the header; every second one is a text to change."""

    pixels: bytes

    def rename(self, name: str) -> _Template:
        """Put the object into another series; it is not yet an instance of it."""
        changes = {_SERIES_UID: phantom_uid(f"series/{name}"), _STUDY_UID: phantom_uid(f"study/{name}")}
        return self._replace(parts=_change(self.parts, changes))

    def copy(self, name: str, number: int, position_mm: float) -> bytes:
        """Write the object as an instance of its series."""
        changes = {
            _INSTANCE_UID: phantom_uid(f"instance/{name}/{number}"),
            _NUMBER: f"{number + 1:<6}",
            _POSITION: f"{position_mm:9.2f}",
            _TIME: clock(100 + number / 4),
        }
        return b"".join([*_change(self.parts, changes), self.pixels])


def _change(parts: tuple[bytes, ...], changes: Mapping[str, str]) -> tuple[bytes, ...]:
    encoded = {old.encode(): new.encode() for old, new in changes.items()}
    return tuple([encoded.get(part, part) for part in parts])


def _build_templates(layout: BulkLayout, count: int) -> list[_Template]:
    """Build a few objects along the body, feet first."""
    own = _own_attributes(layout)
    header = _fill(layout, encode_header(_shared_attributes(layout)), own)
    templates = []
    for picture in _draw(layout, count):
        data = write_object(header, own, picture[None])
        parts = _CHANGED.split(data[: -picture.nbytes])
        templates.append(_Template(parts=tuple(parts), pixels=data[-picture.nbytes :]))
    return templates


def _shared_attributes(layout: BulkLayout) -> ElementValues:
    own = {"StudyInstanceUID": _STUDY_UID, "SeriesInstanceUID": _SERIES_UID}
    if layout.body == "torso":
        return ct_attributes("template", layout.title, "axial") | own
    return mr_attributes("template", layout.title) | {"WindowCenter": "1700", "WindowWidth": "3400"} | own


def _own_attributes(layout: BulkLayout) -> dict[str, Any]:
    stack = cut_stack("axial", (layout.rows, layout.columns), 1, (371.2, 1.25))
    plane = stack.plane_attributes(0)
    return {
        **plane,
        "ImagePositionPatient": [*plane["ImagePositionPatient"][:2], _POSITION],
        "SliceLocation": _POSITION,
        "SOPInstanceUID": _INSTANCE_UID,
        "InstanceNumber": _NUMBER,
        "AcquisitionTime": _TIME,
    }


def _draw(layout: BulkLayout, count: int) -> Iterator[FrameArray]:
    shape = (layout.rows, layout.columns)
    grain = noise(21, shape, 1)
    if layout.body == "torso":
        stack = cut_stack("axial", shape, count, (371.2, 400.0))
        for number in range(count):
            yield np.rint(torso_hounsfield(stack.points(number)) + 8 * grain).astype(np.int16) + np.int16(1024)
    else:
        stack = cut_stack("axial", shape, count, (244.0, 150.0), (0.0, 3.0, 15.0))
        for number in range(count):
            signal = 3.3 * head_signal(stack.points(number)) + 45 * np.abs(grain)
            yield np.rint(signal.clip(0, 4095)).astype(np.uint16)


def _fill(layout: BulkLayout, header: SharedHeader, own: ElementValues) -> SharedHeader:
    """Add private elements until the header has the number of elements and of bytes that the layout asks for."""
    blank = np.zeros((1, layout.rows, layout.columns), np.int16 if layout.body == "torso" else np.uint16)
    missing = layout.elements - len(dcmread(io.BytesIO(write_object(header, own, blank))))
    private = Dataset()
    if layout.block_tag:
        block = b"SV10\4\3\2\1" * (layout.block_bytes // 8 + 1)
        _add_private(private, layout.block_tag, "OB", block[: layout.block_bytes])
    for number in itertools.takewhile(lambda _: len(private) < missing - 1, itertools.count()):
        group = (0x0019, 0x0021, 0x0043)[number % 3]
        _add_private(private, (group << 16) + 0x1001 + number // 3, *_FILLERS[number % len(_FILLERS)])
    filled = replace(header, elements={**header.elements, **encode_elements(private, ExplicitVRLittleEndian)})
    # The prefix of Pixel Data counted here is as long as that of the element added below (PS3.5 7.1.2).
    size = len(write_object(filled, own, blank)) - blank.nbytes
    if size < layout.header_bytes:
        _add_private(private, 0x001910FF, "UT", "x" * (layout.header_bytes - size))
    return replace(header, elements={**header.elements, **encode_elements(private, ExplicitVRLittleEndian)})


_FILLERS: tuple[tuple[str, Any], ...] = (
    ("LO", "STEP 17"),
    ("DS", "0.123456"),
    ("IS", "42"),
    ("FD", 0.5),
    ("SH", "ON"),
    ("US", 3),
    ("SL", -7),
    ("TM", "103000.25"),
    ("FL", 1.5),
    ("CS", "YES"),
)
"""VR and value of the private elements that fill a header: as many kinds as scanners write."""


def _add_private(dataset: Dataset, tag: int, representation: str, value: Any) -> None:
    """Add a private element, and before the first of its group the creator (PS3.5 7.8.1)."""
    creator = (tag & 0xFFFF0000) + 0x0010
    if creator not in dataset:
        dataset.add_new(creator, "LO", _CREATOR)
    dataset.add_new(tag, representation, value)
