"""Reports written byte by byte: explicit VR little endian with known lengths."""

from __future__ import annotations

import struct
from pathlib import Path

from pydicom import uid

from dsp_batch.phantom.modules import common
from dsp_batch.phantom.objects import build_single


def encode_element(tag: int, vr: str, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("SQ", "OB", "UT"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def encode_item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def encode_text(text: str) -> bytes:
    kind = encode_element(0x0040A040, "CS", b"TEXT")
    name = encode_item(encode_element(0x00080100, "SH", b"1 ") + encode_element(0x00080104, "LO", b"Finding"))
    return kind + encode_element(0x0040A043, "SQ", name) + encode_element(0x0040A160, "UT", text.encode())


def encode_code(value: str) -> bytes:
    scheme, meaning = encode_element(0x00080102, "SH", b"DCM "), encode_element(0x00080104, "LO", value.encode())
    return encode_item(encode_element(0x00080100, "SH", value.encode()) + scheme + meaning)


def encode_number(value: str) -> bytes:
    measured = encode_element(0x004008EA, "SQ", encode_code("mm")) + encode_element(0x0040A30A, "DS", value.encode())
    kind, name = encode_element(0x0040A040, "CS", b"NUM"), encode_element(0x0040A043, "SQ", encode_code("size"))
    return encode_item(kind + name + encode_element(0x0040A300, "SQ", encode_item(measured)))


def encode_group(*items: bytes) -> bytes:
    kind, name = encode_element(0x0040A040, "CS", b"CONTAINER"), encode_element(0x0040A043, "SQ", encode_code("125007"))
    return encode_item(kind + name + encode_element(0x0040A730, "SQ", b"".join(items)))


def write_report(folder: Path, content: bytes) -> Path:
    """Write a report whose Content Sequence has this value."""
    series = build_single("bad", common("bad", "Bad report", "SR", uid.EnhancedSRStorage), None)
    data = series.objects[0].data
    folder = folder / series.series_uuid
    folder.mkdir()
    end = encode_element(0x0040A040, "CS", b"CONTAINER") + encode_element(0x0040A730, "SQ", content)
    (folder / "report.dcm").write_bytes(data + end)
    return folder
