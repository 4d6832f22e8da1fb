"""What the beginning of a header tells: whether its rest can wait until the instance is drawn."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from dsp_batch.model import RawElement

IMAGE_GROUP = 0x0028
"""Up to it lies what the place of an image is told from, and how large it is."""

_LITTLE_ENDIAN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_SLICE_CLASSES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{number}"
    for number in (
        "2",  # CT Image Storage
        "4",  # MR Image Storage
        "128",  # Positron Emission Tomography Image Storage
    )
)
_TRANSFER_SYNTAX_UID, _IMAGE_TYPE, _SOP_CLASS_UID = 0x00020010, 0x00080008, 0x00080016
_INSTANCE_NUMBER, _POSITION, _ORIENTATION = 0x00200013, 0x00200032, 0x00200037
_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _BITS = 0x00280002, 0x00280008, 0x00280010, 0x00280011, 0x00280100
_GRIDS = (b"MOSAIC", b"VFRAME")
_SMALLEST_ELEMENT = 8


def tells_place(elements: Mapping[int, RawElement], rest: int) -> bool:
    """Whether the elements up to group 0028 tell all that the order of a series is made of.

    They do for an uncompressed slice (CT, MR, PET: one frame, PS3.3 A.3, A.4, A.21) that says where it lies. These
    classes require Pixel Data, and the object must have room for it.

    Args:
        elements: What was read.
        rest: Bytes of the object behind them.
    """
    if _text(elements, _TRANSFER_SYNTAX_UID) not in _LITTLE_ENDIAN:
        return False
    if _text(elements, _SOP_CLASS_UID) not in _SLICE_CLASSES or _text(elements, _FRAMES) not in ("", "1"):
        return False
    if not all(_text(elements, tag) for tag in (_INSTANCE_NUMBER, _POSITION, _ORIENTATION)):
        return False
    kinds = elements.get(_IMAGE_TYPE)
    if kinds and kinds.value and any(grid in kinds.value for grid in _GRIDS):
        return False
    size = [_number(elements, tag) for tag in (_ROWS, _COLUMNS, _SAMPLES, _BITS)]
    rows, columns, samples, bits = (number or 0 for number in size)
    pixels = rows * columns * samples * bits // 8
    return 0 < pixels <= rest - _SMALLEST_ELEMENT


def _text(elements: Mapping[int, RawElement], tag: int) -> str:
    element = elements.get(tag)
    return (element.value or b"").decode("ascii", "replace").strip(" \0") if element else ""


def _number(elements: Mapping[int, RawElement], tag: int) -> int | None:
    """A US, little endian."""
    element = elements.get(tag)
    value = element.value if element else None
    return struct.unpack("<H", value)[0] if value and len(value) == 2 else None
