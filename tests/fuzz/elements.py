"""DICOM objects as trees of elements, which can say anything of themselves, and are written as they say it."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pydicom
from chance import Chance
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

LONG_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
"""VRs whose length takes four bytes (PS3.5 7.1.2)."""

_SIZES = {
    "US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4, "FD": 8, "OD": 8, "UV": 8, "SV": 8,
}  # fmt: skip
"""VR → bytes of each of its numbers, which are turned round in big endian."""

VRS = (
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW", "PN",
    "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV",
)  # fmt: skip

PIXEL_DATA = 0x7FE00010

Items = list[list["Element"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element: its tag, and what it says of itself."""

    tag: int
    vr: str
    value: bytes | Items
    """Bytes in little endian, or the items of a sequence."""

    length: int | None = None
    """Length that it declares; None for its own."""

    is_undefined: bool = False
    """True where a sequence, its items or encapsulated pixels are of undefined length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A whole object."""

    elements: list[Element] = field(default_factory=list)
    syntax: str = ExplicitVRLittleEndian
    """Transfer syntax that it declares."""

    written_as: str | None = None
    """Transfer syntax that it is written in; None for the declared one."""


def parse_object(data: bytes) -> Object:
    """Read an object through pydicom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        return Object(
            elements=_read_elements(dataset),
            syntax=str(dataset.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)),
        )


def _read_elements(dataset: Dataset) -> list[Element]:
    return [_read_element(dataset, int(tag)) for tag in sorted(dataset.keys())]


def _read_element(dataset: Dataset, tag: int) -> Element:
    raw = dataset.get_item(tag)
    vr = (isinstance(raw, RawDataElement) and raw.VR) or find_vr(tag)
    if vr == "SQ":
        element = dataset[tag]
        items = [_read_elements(item) for item in element.value or ()]
        return Element(tag=tag, vr="SQ", value=items, is_undefined=bool(element.is_undefined_length))
    value = raw.value if isinstance(raw.value, bytes) else b""
    undefined = isinstance(raw, RawDataElement) and raw.length == 0xFFFFFFFF
    return Element(tag=tag, vr=vr if vr in VRS else "UN", value=value, is_undefined=undefined)


def find_vr(tag: int) -> str:
    """Find the VR of a tag in the dictionary; UN for one that is not in it."""
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "UN"


def write_object(made: Object, chance: Chance) -> bytes:
    """Write an object as it says, with a preamble and file meta information most of the time."""
    syntax = made.written_as or made.syntax
    implicit, big = syntax == ImplicitVRLittleEndian, syntax == ExplicitVRBigEndian
    body = b"".join(_write(element, implicit=implicit, big=big) for element in made.elements)
    if syntax == DeflatedExplicitVRLittleEndian:
        packer = zlib.compressobj(wbits=15 if chance.one_in(8) else -15)
        body = packer.compress(body) + packer.flush()
    if chance.one_in(20):
        return body
    uid = str(made.syntax).encode()
    meta = _write(Element(tag=0x00020010, vr="UI", value=uid + b"\0" * (len(uid) % 2)), implicit=False, big=False)
    length = Element(tag=0x00020000, vr="UL", value=struct.pack("<I", len(meta)))
    preamble = bytes(128) + b"DICM" if not chance.one_in(20) else b""
    return preamble + _write(length, implicit=False, big=False) + meta + body


def _write(element: Element, *, implicit: bool, big: bool) -> bytes:
    order = ">" if big else "<"
    value = _write_value(element, implicit=implicit, big=big)
    length = 0xFFFFFFFF if element.is_undefined else len(value)
    length = length if element.length is None else element.length
    tag = struct.pack(f"{order}HH", element.tag >> 16, element.tag & 0xFFFF)
    if element.is_undefined:
        value += struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0)
    if implicit:
        return tag + struct.pack(f"{order}I", length & 0xFFFFFFFF) + value
    if element.vr in LONG_VRS:
        return tag + element.vr.encode() + b"\0\0" + struct.pack(f"{order}I", length & 0xFFFFFFFF) + value
    return tag + element.vr.encode("latin-1")[:2].ljust(2) + struct.pack(f"{order}H", length & 0xFFFF) + value


def _write_value(element: Element, *, implicit: bool, big: bool) -> bytes:
    order = ">" if big else "<"
    if isinstance(element.value, bytes):
        size = _SIZES.get(element.vr, 1) if big else 1
        whole = len(element.value) // size * size
        swapped = b"".join(element.value[at : at + size][::-1] for at in range(0, whole, size)) if size > 1 else None
        return element.value if swapped is None else swapped + element.value[whole:]
    parts = []
    for item in element.value:
        body = b"".join(_write(each, implicit=implicit, big=big) for each in item)
        length = 0xFFFFFFFF if element.is_undefined else len(body)
        parts.append(struct.pack(f"{order}HHI", 0xFFFE, 0xE000, length) + body)
        parts.append(struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0) if element.is_undefined else b"")
    return b"".join(parts)


def with_values(made: Object, values: Iterable[Element]) -> Object:
    """An object with some of its elements replaced, and others added."""
    by_tag = {element.tag: element for element in (*made.elements, *values)}
    return replace(made, elements=[by_tag[tag] for tag in sorted(by_tag)])


def flatten(value: bytes | Items) -> bytes:
    """The bytes of a value, with those of its items one after the other."""
    if isinstance(value, bytes):
        return value
    return b"".join(_write(element, implicit=False, big=False) for item in value for element in item)
