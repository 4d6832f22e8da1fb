"""Conditions on files: which of them are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.dictionary import tag_of
from dsp_batch.errors import OptionsError

_FIELDS = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "study_description": "StudyDescription",
    "study_date": "StudyDate",
    "study_uid": "StudyInstanceUID",
    "series_description": "SeriesDescription",
    "series_number": "SeriesNumber",
    "series_uid": "SeriesInstanceUID",
    "modality": "Modality",
}
"""Names of fields that need not be looked up → keywords."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilter:
    """One condition: an element holds a text, in any letter case."""

    keyword: str
    text: str

    def passes(self, attributes: Attributes) -> bool:
        """Tell whether a header fulfils the condition. An element that is absent holds no text."""
        return self.text.casefold() in "\\".join(attributes.texts(self.keyword)).casefold()


def parse_filter(text: str) -> FileFilter:
    """Read a condition as it is written: `FIELD=VALUE`.

    Raises:
        OptionsError: It has no `=`, or no element is called so.
    """
    field, equals, value = text.partition("=")
    field = field.strip()
    keyword = _FIELDS.get(field.lower(), field)
    if not equals or not value.strip():
        raise OptionsError(f"{text!r} is no filter: write FIELD=VALUE, such as modality=CT")
    if not keyword.isascii() or not keyword.isalnum() or tag_of(keyword) is None:
        raise OptionsError(
            f"{field!r} is no field to filter by: give a keyword such as StationName, or {', '.join(_FIELDS)}"
        )
    return FileFilter(keyword=keyword, text=value.strip())


def passes_all(filters: Iterable[FileFilter], attributes: Attributes) -> bool:
    """Tell whether a header fulfils all conditions."""
    return all(each.passes(attributes) for each in filters)
