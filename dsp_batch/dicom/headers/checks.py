"""Check a finished header: elements that must be of one type, numbers, character sets, and how much it claims.

What is said here of an element holds for a whole instance. An element that is wrong is taken out with a note, because
what relies on it can do without it, but not with a sequence where a number should be.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import lru_cache

from dsp_batch.dicom.headers.elements import SHORT_VRS, format_tag
from dsp_batch.errors import HeaderError
from dsp_batch.model.series import RawElement

_TEXT_VRS = SHORT_VRS - {"AT", "FD", "FL", "SL", "SS", "UL", "US"} | {"UC", "UR", "UT"}
_NUMBER_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8}

_UIDS = {
    0x00080016: "SOP Class UID",
    0x00080018: "SOP Instance UID",
    0x0020000D: "Study Instance UID",
    0x0020000E: "Series Instance UID",
}
_NUMBER_OF_FRAMES = 0x00280008
_NUMBERS = {0x00200013: "Instance Number", _NUMBER_OF_FRAMES: "Number of Frames"}
_SEQUENCES = {
    0x52009229: "Shared Functional Groups Sequence",
    0x52009230: "Per-Frame Functional Groups Sequence",
}
_DECIMALS = (0x00200032, 0x00280030, 0x00281050)
"""Image Position (Patient), Pixel Spacing, Window Center. Writers of decimal commas write them in all numbers."""

_CHARACTER_SET = 0x00080005
_CHARACTER_SETS = frozenset(
    f"{prefix}{number}"
    for prefix in ("ISO_IR ", "ISO 2022 IR ")
    for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166, 192, 203)
) | {"", "GB18030", "GBK", "ISO 2022 58", "ISO 2022 GBK"}
"""Defined terms of Specific Character Set (PS3.3 C.12.1.1.2), and what others have made of them."""

_FRAMES_UNCHECKED = 4096
_BYTES_PER_FRAME = 16
"""Smallest mean size of a frame where there are more than 4096. Frames of one bit cost nothing to claim."""

_MOST_FRAMES = 1 << 20
_MOST_FRAMES_PER_BYTE = 8
_LONGEST_COUNT = 12
"""Characters of the longest number that an IS may hold (PS3.5 6.2)."""


_NAMES = _UIDS | _NUMBERS | _SEQUENCES
_EXPECTED = (
    *((tag, _TEXT_VRS, b"\\") for tag in _UIDS),
    *((tag, _TEXT_VRS - {"PN"}, b"\\") for tag in _NUMBERS),
    *((tag, frozenset({"DS", "FD", "FL"}), b",") for tag in _DECIMALS),
)
"""Tags, VRs and a byte: an element that has one of the VRs, and not the byte in its value, is right."""


def check_elements(elements: MutableMapping[int, RawElement]) -> list[str]:
    """Take out the elements that have the wrong type or number of values, and say what else is odd.

    Returns:
        A sentence for each element that was taken out, for decimal commas, and for a character set that is unknown.
    """
    find = elements.get
    suspects = [
        tag
        for tag, allowed, forbidden in _EXPECTED
        if (found := find(tag)) and (found[0] not in allowed or forbidden in (found[1] or b""))
    ]
    suspects += [tag for tag in _SEQUENCES if tag in elements]
    notes = _look_into(suspects, elements) if suspects else []
    character_set = find(_CHARACTER_SET)
    return notes + _describe_character_set(character_set[1]) if character_set and character_set[1] else notes


def _look_into(suspects: list[int], elements: MutableMapping[int, RawElement]) -> list[str]:
    notes = []
    for tag in suspects:
        element = elements[tag]
        fault = _find_fault(tag, element.vr, element.value or b"") if tag in _NAMES else ""
        if fault:
            del elements[tag]
            notes.append(f"{_NAMES[tag]} is left out: {fault}")
    commas = [format_tag(tag) for tag in suspects if tag in _DECIMALS and b"," in (elements[tag].value or b"")]
    if commas:
        notes.append(f"Numbers with a decimal comma are read with a point: {', '.join(commas)}")
    return notes


def _find_fault(tag: int, vr: str, value: bytes) -> str:
    if tag in _SEQUENCES:
        return "" if vr == "SQ" else f"its VR is {vr}"
    if tag in _NUMBERS and vr in _NUMBER_SIZES:
        return "" if len(value) <= _NUMBER_SIZES[vr] else "it has several values"
    if vr not in _TEXT_VRS or (tag in _NUMBERS and vr == "PN"):
        return f"its VR is {vr}"
    return "it has several values" if b"\\" in value else ""


@lru_cache(maxsize=64)
def _describe_character_set(value: bytes) -> list[str]:
    terms = [term.strip() for term in value.decode("ascii", "replace").strip(" \0").split("\\")]
    unknown = next((term for term in terms if term.upper() not in _CHARACTER_SETS), None)
    return [] if unknown is None else [f"Specific Character Set {unknown!r} is no defined term"]


def claimed_frames(elements: Mapping[int, RawElement]) -> int:
    """Read Number of Frames; 1 where it is absent or no number."""
    element = elements.get(_NUMBER_OF_FRAMES)
    text = element.text if element else ""
    return int(text) if text.isdigit() and len(text) <= _LONGEST_COUNT else 1


def check_frames(elements: MutableMapping[int, RawElement], n_bytes: int) -> list[str]:
    """Refuse an object that claims more frames than it has any use for, before a table is made of them.

    A number that cannot be true, because there are too few bits, is taken out.

    Args:
        elements: The header.
        n_bytes: Number of bytes of the pixels, inflated but not decoded; of an object without pixels all its bytes.

    Returns:
        A sentence, if the number was taken out.

    Raises:
        HeaderError: There are too many (reason `too-large`).
    """
    claimed = claimed_frames(elements)
    if claimed <= _FRAMES_UNCHECKED:
        return []
    if claimed > n_bytes * _MOST_FRAMES_PER_BYTE:
        del elements[_NUMBER_OF_FRAMES]
        return [f"Number of Frames is left out: {n_bytes} bytes cannot hold {claimed} frames"]
    if claimed > _MOST_FRAMES or claimed > n_bytes // _BYTES_PER_FRAME:
        raise HeaderError(f"it claims {claimed} frames in {n_bytes} bytes of pixels", "too-large")
    return []
