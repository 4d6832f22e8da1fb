"""What the beginning of a header tells: whether its rest can wait until the instance is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod

from dsp_batch.dicom.grids import is_called_grid
from dsp_batch.model.series import RawElement

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
_DESCRIPTION = (
    0x00020010,  # Transfer Syntax UID
    0x00080016,  # SOP Class UID
    0x00080008,  # Image Type
    0x00280008,  # Number of Frames
    0x00280010,  # Rows
    0x00280011,  # Columns
    0x00280002,  # Samples per Pixel
    0x00280100,  # Bits Allocated
)
_PLACE = (
    0x00200013,  # Instance Number
    0x00200032,  # Image Position (Patient)
    0x00200037,  # Image Orientation (Patient)
)
_SMALLEST_ELEMENT = 8


def tells_place(elements: Mapping[int, RawElement], rest: int) -> bool:
    """Whether the elements up to group 0028 tell all that the order of a series is made of.

    They do for an uncompressed slice (CT, MR, PET: one frame, PS3.3 A.3, A.4, A.21) that says where it lies. These
    classes require Pixel Data, and the object must have room for it.

    Args:
        elements: What was read.
        rest: Bytes of the object behind them.
    """
    is_placed = all(element and element.value for element in map(elements.get, _PLACE))
    return is_placed and 0 < _count_pixel_bytes(*map(elements.get, _DESCRIPTION)) <= rest - _SMALLEST_ELEMENT


@lru_cache(maxsize=64)
def _count_pixel_bytes(
    syntax: RawElement | None,
    sop_class: RawElement | None,
    kinds: RawElement | None,
    frames: RawElement | None,
    *size: RawElement | None,
) -> int:
    """Bytes of the pixels of an uncompressed slice; 0 of any other object. The instances of a series share them."""
    if _text(syntax) not in _LITTLE_ENDIAN or _text(sop_class) not in _SLICE_CLASSES or _text(frames) not in ("", "1"):
        return 0
    if is_called_grid(kinds):
        return 0
    return prod(map(_number, size)) // 8


def _text(element: RawElement | None) -> str:
    return element.text if element else ""


def _number(element: RawElement | None) -> int:
    """A US, little endian; 0 where there is none."""
    return int.from_bytes(element.value or b"", "little") if element else 0
