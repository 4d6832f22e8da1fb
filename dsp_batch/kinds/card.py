"""Describe objects of any class from their headers alone, and find the series that they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.sop_classes import sop_class_name
from dsp_batch.errors import printable
from dsp_batch.kinds.kind import Contents, Instances
from dsp_batch.model.card import Card

WITHHELD = frozenset(
    {
        "PatientID",
        "StudyDate",
        "SeriesDate",
        "ContentDate",
        "AcquisitionDate",
        "AcquisitionDateTime",
        "InstanceCreationDate",
        "StructureSetDate",
        "RTPlanDate",
        "PresentationCreationDate",
        "HangingProtocolCreationDateTime",
        "StudyDescription",
        "SeriesDescription",
        "ContentDescription",
        "StructureSetDescription",
        "RTPlanDescription",
        "HangingProtocolDescription",
        "ProtocolName",
        # what someone has named or typed
        "ContentLabel",
        "DocumentTitle",
        "StructureSetLabel",
        "StructureSetName",
        "RTPlanLabel",
        "RTPlanName",
        # inside of items: of reports, graphics, prescriptions, regions, beams and groups
        "TextValue",
        "UnformattedTextValue",
        "DoseReferenceDescription",
        "ROIDescription",
        "BeamDescription",
        "SegmentDescription",
        "AnnotationGroupDescription",
        "LUTExplanation",
        "Date",
        "DateTime",
    }
)
"""Attributes that may tell something private: identifiers of the patient, dates, and what someone has typed. Names of
regions, segments, beams and groups of annotations are what such an object is about, and stay."""

_MODEL = "model/"
"""What the MIME types of models of surfaces begin with. Other documents are pages of text."""

_LABELS = (
    "ContentLabel",
    "DocumentTitle",
    "StructureSetLabel",
    "RTPlanLabel",
    "HangingProtocolName",
)
"""Attributes that name an object rather than its series (PS3.3 10.9, C.24.2, C.8.8.5, C.8.8.9, C.23.1)."""

_DESCRIPTIONS = (
    "ContentDescription",
    "StructureSetDescription",
    "RTPlanDescription",
    "HangingProtocolDescription",
    "StudyDescription",
)

_SERIES_SEQUENCES = ("ReferencedSeriesSequence", "RTReferencedSeriesSequence")
_SEQUENCES_ABOVE = (
    "CurrentRequestedProcedureEvidenceSequence",
    "PertinentOtherEvidenceSequence",
    "StudiesContainingOtherReferencedInstancesSequence",
    "ReferencedFrameOfReferenceSequence",
    "RTReferencedStudySequence",
)
"""Sequences whose items name series, and those whose items hold such a sequence, or another one of these: of evidence
documents (C.17.2), presentation states (C.11.11), common instance references (C.12.2), structure sets (C.8.8.5)."""

_OBJECT_SEQUENCES = (
    "ReferencedSOPSequence",
    "ReferencedInstanceSequence",
    "ReferencedImageSequence",
    "ContourImageSequence",
)
"""Sequences of such an item that name objects of the series."""

_LONGEST_TEXT = 200
"""Characters of a text on a card: more than a line of it holds."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def describe_headers(contents: Contents) -> Card:
    """Describe instances by what every header has: class, modality, description, manufacturer, objects, references."""
    instances = contents.instances
    first = next(iter(instances.values()))
    count, size = len(instances), sum(contents.sizes.get(row) or 0 for row in instances)
    references = list_references(instances)
    names = [name_class(uid) for uid in dict.fromkeys(each.text("SOPClassUID") or "" for each in instances.values())]
    label = next(_find_texts(first, _LABELS), "")
    title = _clean(first.text("SeriesDescription") or "") or label or names[0]
    facts = {
        "class": ", ".join(names[:3]) + (" …" if len(names) > 3 else ""),
        "modality": first.text("Modality"),
        "label": label if label != title else None,
        "description": next(_find_texts(first, _DESCRIPTIONS), None),
        "made by": " ".join(_find_texts(first, ("Manufacturer", "ManufacturerModelName"))),
        "objects": f"{count:,}",
        "size": format_size(size) if size else None,
        "refers to": f"{_count(sum(references.values()), 'object')} of {_count(len(references), 'series', 'series')}"
        if references
        else None,
    }
    return Card(
        kind=name_kind(first),
        headline=_count(count, "object"),
        title=title,
        rows=tuple((name, _clean(fact)) for name, fact in facts.items() if fact),
        n_items=count,
    )


def describe_label(instances: Instances) -> Card:
    """Describe a slide series of which nothing may be drawn."""
    return Card(
        kind="SM",
        headline="label only",
        title="Label of a slide",
        lines=("It holds nothing but a LABEL,", "which may name the patient and is never drawn."),
        n_items=len(instances),
    )


def name_kind(first: Attributes) -> str:
    """Name the kind of an object in a word or two: its modality, or its class where that says more."""
    name = name_class(first.text("SOPClassUID") or "")
    modality = _clean(first.text("Modality") or "")
    if name == "Raw Data" or not modality:
        return name.partition(" (")[0]
    return modality


def list_references(instances: Instances) -> dict[str, int]:
    """List the SeriesInstanceUIDs (0020,000E) of the series that instances refer to.

    Returns:
        UID → number of its instances that are referred to, in the order of the headers.
    """
    found: dict[str, set[str]] = {}
    for attributes in instances.values():
        own = attributes.text("SeriesInstanceUID")
        for item in _list_series_items(attributes):
            uid = item.text("SeriesInstanceUID")
            if uid and uid != own:
                objects = (each for name in _OBJECT_SEQUENCES for each in item.items(name))
                found.setdefault(uid, set()).update(each.text("ReferencedSOPInstanceUID") or "" for each in objects)
    return {uid: len(objects) for uid, objects in found.items()}


def withhold_descriptions(attributes: Attributes) -> Attributes:
    """Give the attributes of an instance without those that may tell something private, at any depth."""
    return Attributes(_Withheld(attributes))


def hide_descriptions(instances: Instances) -> Instances:
    """Give instances without the attributes that may tell something private."""
    return {row: withhold_descriptions(attributes) for row, attributes in instances.items()}


def shorten_card(card: Card) -> Card:
    """Bring all texts of a card to one line each, without control characters."""
    return replace(
        card,
        kind=_clean(card.kind),
        headline=_clean(card.headline),
        title=_clean(card.title),
        columns=tuple(map(_clean, card.columns)),
        rows=tuple(tuple(map(_clean, row)) for row in card.rows),
        lines=tuple(map(_clean, card.lines)),
    )


def format_size(size: int) -> str:
    """Write a number of bytes with three digits at least.

    Example:
        >>> format_size(999), format_size(12_345), format_size(1_234_567)
        ('999 B', '12.3 kB', '1.23 MB')
    """
    number, unit = float(size), 0
    while number >= 1000 and unit + 1 < len(_UNITS):
        number, unit = number / 1000, unit + 1
    digits = 0 if unit == 0 or number >= 100 else 1 if number >= 10 else 2
    return f"{number:.{digits}f} {_UNITS[unit]}"


class _Withheld:
    """The values of an instance without those that are withheld."""

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes

    def get(self, keyword: str, /) -> Any:
        """Return the value of an element; None where it is absent or withheld."""
        if keyword in WITHHELD or (keyword == "EncapsulatedDocument" and not self._is_model()):
            return None
        value = self._attributes.value(keyword)
        if isinstance(value, list) and any(isinstance(each, Attributes) for each in value):
            return [withhold_descriptions(each) if isinstance(each, Attributes) else each for each in value]
        return value

    def _is_model(self) -> bool:
        return (self._attributes.text("MIMETypeOfEncapsulatedDocument") or "").lower().startswith(_MODEL)


def _list_series_items(attributes: Attributes) -> Iterator[Attributes]:
    for name in _SERIES_SEQUENCES:
        yield from attributes.items(name)
    for name in _SEQUENCES_ABOVE:
        for item in attributes.items(name):
            yield from _list_series_items(item)


def _find_texts(attributes: Attributes, keywords: tuple[str, ...]) -> Iterator[str]:
    return (text for keyword in keywords if (text := _clean(attributes.text(keyword) or "")))


def _clean(text: str) -> str:
    return printable(text).strip()[:_LONGEST_TEXT]


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {several or one + 's'}"


def name_class(uid: str) -> str:
    """Name a SOP class without the word that all of them end in."""
    if not uid:
        return "no SOP class"
    name = sop_class_name(uid)
    return f"unknown class ({uid})" if name == uid else name.removesuffix(" Storage")
