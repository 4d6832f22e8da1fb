"""VR and keyword of a tag. pydicom's dictionaries, loaded when the first tag is looked up."""

from __future__ import annotations

from functools import cache

_REPEATING_GROUPS = (range(0x5000, 0x5020), range(0x6000, 0x6020))
"""Curves and overlays: one keyword stands for up to 16 groups (PS3.5 7.6)."""


def is_private(tag: int) -> bool:
    """Whether a tag's group is odd (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


@cache
def vr_of(tag: int, creator: str | None = None) -> str:
    """Value representation from the dictionaries.

    Args:
        tag: Group and element, `group << 16 | element`.
        creator: Private creator, for elements of odd groups.

    Returns:
        The VR; `UN` for unknown tags; `US`, `OW` where the dictionary leaves a choice (`US or SS`, `OB or OW`).

    References:
        DICOM PS3.5 A.1 (implicit VR), PS3.6.
    """
    from pydicom import datadict  # noqa: PLC0415  # 0.7 s of import, needed for few series

    if tag & 0xFFFF == 0:
        return "UL"
    if is_private(tag):
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "LO"
        if creator is None:
            return "UN"
        try:
            vr = datadict.private_dictionary_VR(tag, creator)
        except KeyError:
            return "UN"
    else:
        try:
            vr = datadict.dictionary_VR(tag)
        except KeyError:
            return "UN"
    return {"US or SS": "US", "US or SS or OW": "OW", "US or OW": "OW", "OB or OW": "OW"}.get(vr, vr)


@cache
def name_of(tag: int) -> str:
    """Keyword of a public element; `gggg_eeee` for private, unknown and repeating ones."""
    from pydicom import datadict  # noqa: PLC0415  # 0.7 s of import

    if not is_private(tag) and not any(tag >> 16 in groups for groups in _REPEATING_GROUPS):
        keyword: str = datadict.keyword_for_tag(tag)
        if keyword:
            return keyword
    return f"{tag >> 16:04x}_{tag & 0xFFFF:04x}"


@cache
def tag_of(name: str) -> int | None:
    """Tag of a keyword or of `gggg_eeee`; None where there is no such element."""
    group, _, element = name.partition("_")
    if len(group) == len(element) == 4:
        return int(group, 16) << 16 | int(element, 16)
    from pydicom import datadict  # noqa: PLC0415  # 0.7 s of import

    tag: int | None = datadict.tag_for_keyword(name)
    return tag


@cache
def is_ambiguous_sign(tag: int) -> bool:
    """Whether the dictionary says `US or SS`: Pixel Representation decides (PS3.5 A.1, PS3.3 C.7.6.3.1)."""
    from pydicom import datadict  # noqa: PLC0415  # 0.7 s of import

    return not is_private(tag) and datadict.dictionary_has_tag(tag) and "US or SS" in datadict.dictionary_VR(tag)
