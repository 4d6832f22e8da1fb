"""Choose the value representation that the elements of one column are read with, where instances differ in kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from dsp_batch.dicom.headers.dictionary import is_private, name_of, vr_of
from dsp_batch.dicom.headers.elements import BINARY_VRS
from dsp_batch.model.series import RawElement

Elements = Sequence[RawElement | None]
"""One element of every instance, row by row; None where it is absent."""


def unite_representations(tag: int, elements: Elements) -> tuple[Elements, list[str]]:
    """Read the same element of all instances as one kind of value: a sequence, bytes, or a text or number.

    An instance that encodes it as another kind would change the column for all of them. The dictionary tells the kind
    of public elements, the majority that of others. UN counts as no representation (PS3.5 6.2.2).

    Args:
        tag: Tag of the element.
        elements: As encoded; not modified.

    Returns:
        The elements with the representation that they are read with, None in place of sequences that cannot be read so;
        and notes on what was changed.
    """
    vrs = {element.vr for element in elements if element is not None} - {"UN"}
    if len(set(map(_kind_of, vrs))) < 2:
        return elements, []
    counts = Counter(element.vr for element in elements if element is not None and element.vr != "UN")
    chosen = _choose(tag, counts)
    wrong = {vr: count for vr, count in counts.items() if _kind_of(vr) != _kind_of(chosen)}
    united = [_read_as(chosen, each) if each is not None and each.vr in wrong else each for each in elements]
    return united, [_note(tag, vr, count, chosen) for vr, count in wrong.items()]


def _kind_of(vr: str) -> Literal["sequence", "bytes", "value"]:
    if vr == "SQ":
        return "sequence"
    return "bytes" if vr in BINARY_VRS else "value"


def _choose(tag: int, counts: Counter[str]) -> str:
    known = None if is_private(tag) or vr_of(tag) == "UN" else _kind_of(vr_of(tag))
    fitting = [vr for vr in counts if _kind_of(vr) == known] or list(counts)
    return max(fitting, key=lambda vr: counts[vr])


def _read_as(vr: str, element: RawElement) -> RawElement | None:
    if _kind_of(vr) == "value" and element.vr == "SQ":
        return None
    return element._replace(vr=vr)


def _note(tag: int, vr: str, count: int, chosen: str) -> str:
    objects = "1 object" if count == 1 else f"{count} objects"
    is_lost = _kind_of(chosen) == "value" and vr == "SQ"
    return f"{name_of(tag)} is encoded as {vr} in {objects}: it is {'left out' if is_lost else f'read as {chosen}'}"
