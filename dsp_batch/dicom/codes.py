"""Coded terms: the items of code sequences."""

from __future__ import annotations

from dataclasses import dataclass

from dsp_batch.dicom.headers.attributes import EMPTY, Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One coded term (PS3.3 8). All fields are empty where the object has none."""

    scheme: str = ""
    """Coding Scheme Designator (0008,0102)."""

    value: str = ""
    """Code Value (0008,0100), or the long or the URN one."""

    meaning: str = ""
    """Code Meaning (0008,0104)."""

    def __str__(self) -> str:
        """Return the meaning, else the value."""
        return self.meaning or self.value


NO_CODE = Code()


def read_code(attributes: Attributes, sequence: str) -> Code:
    """Read the first item of a code sequence."""
    item = attributes.item(sequence)
    if item is EMPTY:
        return NO_CODE
    value = item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue") or ""
    return Code(scheme=item.text("CodingSchemeDesignator") or "", value=value, meaning=item.text("CodeMeaning") or "")
