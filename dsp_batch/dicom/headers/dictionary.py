"""Look up the VR and keyword of a tag in the data files of pydicom's dictionaries.

The two files are loaded without the package around them. Importing pydicom takes 0.7 s, most of it for reading and
writing files, which a header index never needs; the two files take 0.03 s.
"""

from __future__ import annotations

import gc
import re
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

_REPEATING_GROUPS = (range(0x5000, 0x5020), range(0x6000, 0x6020))
"""Groups of curves and overlays: one keyword stands for up to 16 groups (PS3.5 7.6)."""

_NAME_OF_TAG = re.compile("[0-9A-Fa-f]{4}_[0-9A-Fa-f]{4}")

_CHOICES = {"US or SS": "US", "US or SS or OW": "OW", "US or OW": "OW", "OB or OW": "OW"}
"""The VR to take where the dictionary leaves a choice (PS3.5 A.1); `effective_vr` decides the sign."""


@cache
def _load_tables(file: str) -> Any:
    package = find_spec("pydicom")
    if package is None or not package.submodule_search_locations:
        raise ImportError("pydicom is not installed: pip install pydicom")
    spec = spec_from_file_location(
        f"dsp_batch.dicom.{file}", Path(package.submodule_search_locations[0]) / f"{file}.py"
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"pydicom has no {file}: install pydicom 3")
    tables = module_from_spec(spec)
    collects = gc.isenabled()
    gc.disable()  # tens of thousands of objects that all stay: looking for garbage among them takes most of the time
    try:
        spec.loader.exec_module(tables)
    finally:
        if collects:
            gc.enable()
    return tables


def _find_entry(tag: int) -> tuple[str, str] | None:
    """Look up the VR and keyword of a public element."""
    entry = _load_tables("_dicom_dict").DicomDictionary.get(tag)
    if entry is None and _is_repeating(tag):
        entry = _load_tables("_dicom_dict").RepeatersDictionary.get(f"{tag >> 24:02X}xx{tag & 0xFFFF:04X}")
    return (entry[0], entry[4]) if entry else None


def _is_repeating(tag: int) -> bool:
    return any(tag >> 16 in groups for groups in _REPEATING_GROUPS)


def is_private(tag: int) -> bool:
    """Tell whether a tag is private: its group is odd (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


@cache
def vr_of(tag: int, creator: str | None = None) -> str:
    """Look up the value representation of an element in the dictionaries.

    Args:
        tag: Group and element, `group << 16 | element`.
        creator: Private creator, for elements of odd groups.

    Returns:
        The VR; `UN` for unknown tags; `US`, `OW` where the dictionary leaves a choice (`US or SS`, `OB or OW`).

    References:
        DICOM PS3.5 A.1 (implicit VR), PS3.6.
    """
    if tag & 0xFFFF == 0:
        return "UL"
    if not is_private(tag):
        entry = _find_entry(tag)
        return _CHOICES.get(entry[0], entry[0]) if entry else "UN"
    if 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"
    known = _load_tables("_private_dict").private_dictionaries.get(creator, {})
    group, element = f"{tag >> 16:04X}", f"{tag & 0xFFFF:04X}"
    for name in (group + element, f"{group}xx{element[2:]}", f"{group[:2]}xxxx{element[2:]}"):
        if name in known:
            vr: str = known[name][0]
            return _CHOICES.get(vr, vr)
    return "UN"


@cache
def has_several_values(tag: int) -> bool:
    """Tell whether the value multiplicity of a public element allows more than one value (PS3.6)."""
    return not is_private(tag) and (_load_tables("_dicom_dict").DicomDictionary.get(tag) or ("", "1"))[1] != "1"


@cache
def name_of(tag: int) -> str:
    """Name an element: by its keyword, or as `gggg_eeee` if it is private, unknown or repeating."""
    entry = None if is_private(tag) or _is_repeating(tag) else _find_entry(tag)
    return entry[1] if entry and entry[1] else f"{tag >> 16:04x}_{tag & 0xFFFF:04x}"


@cache
def _tags_by_keyword() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in _load_tables("_dicom_dict").DicomDictionary.items() if entry[4]}


@cache
def tag_of(name: str) -> int | None:
    """Look up the tag of a keyword or of `gggg_eeee`; None where there is no such element."""
    if _NAME_OF_TAG.fullmatch(name):
        return int(name[:4], 16) << 16 | int(name[5:], 16)
    return _tags_by_keyword().get(name)


def list_keywords() -> list[str]:
    """List the keywords of all public elements."""
    return [*_tags_by_keyword()]


@cache
def is_ambiguous_sign(tag: int) -> bool:
    """Tell whether a VR is `US or SS`, so that Pixel Representation decides the sign (PS3.5 A.1, PS3.3 C.7.6.3.1)."""
    entry = None if is_private(tag) else _find_entry(tag)
    return entry is not None and "US or SS" in entry[0]
