"""The content tree of a structured report (PS3.3 C.17.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from dsp_batch.dicom.codes import Code, read_code
from dsp_batch.dicom.headers.attributes import Attributes

MAX_DEPTH = 64
"""Levels of a content tree that are read."""

MAX_ITEMS = 1_000_000
"""Items of a content tree that are read."""

IMAGE_LIBRARY = "111028"
"""Code of the list of all images that a report speaks of (TID 1600). It measures nothing and is not read."""

_NOTHING: tuple[object, ...] = (None, [], b"")

_VALUES = {
    "MeasuredValueSequence": "NUM",
    "ConceptCodeSequence": "CODE",
    "TextValue": "TEXT",
    "ContentSequence": "CONTAINER",
}
"""Attribute that only items of one value type have → that value type, for items that do not tell it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContentItem:
    """One item of a content tree."""

    value_type: str
    """Value Type (0040,A040), else the one that the item's attributes tell."""

    concept: Code
    """What the item is about: Concept Name Code Sequence (0040,A043)."""

    attributes: Attributes
    """All attributes of the item."""

    children: list[ContentItem] = field(default_factory=list)
    """The items below it, in the order of the report."""

    @property
    def modifies(self) -> bool:
        """Return True where the item says more about the concept of the item above it."""
        return self.attributes.text("RelationshipType") == "HAS CONCEPT MOD"

    @property
    def answer(self) -> Code:
        """Return the code that a CODE item holds."""
        return read_code(self.attributes, "ConceptCodeSequence")

    def find(self, codes: frozenset[str]) -> ContentItem | None:
        """Find the first item right below that is about one of these concepts."""
        return next((child for child in self.children if child.concept.value in codes), None)

    def walk(self) -> Iterator[ContentItem]:
        """Iterate over the item and all below it, in the order of the report."""
        stack = [self]
        while stack:
            item = stack.pop()
            yield item
            stack.extend(reversed(item.children))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The value of a NUM item (PS3.3 C.18.1)."""

    value: float | None
    """The number; None where it is empty or not finite."""

    unit: Code
    """Measurement Units Code Sequence (0040,08EA), as a rule a code of UCUM."""

    qualifier: str
    """Why there is no number: the meaning of Numeric Value Qualifier Code Sequence (0040,A301). Empty where there is a
    number, or no reason."""


def read_measurement(item: ContentItem) -> Measurement:
    """Read the first measured value of a NUM item.

    Its Floating Point Value counts before its Numeric Value, of which 16 characters may keep too few digits.
    """
    measured = item.attributes.item("MeasuredValueSequence")
    value = measured.number("FloatingPointValue")
    if value is None:
        value = measured.number("NumericValue")
    unit = read_code(measured, "MeasurementUnitsCodeSequence")
    if value is not None and math.isfinite(value):
        return Measurement(value=value, unit=unit, qualifier="")
    qualifier = read_code(item.attributes, "NumericValueQualifierCodeSequence")
    return Measurement(value=None, unit=unit, qualifier=str(qualifier))


def read_content(header: Attributes) -> tuple[ContentItem, tuple[str, ...]]:
    """Read the content tree of a report.

    Items that only point at others, and all below an image library, are left out. An item that contains itself is read
    once.

    Returns:
        Root of the tree, which may have nothing below it, and sentences about what was left out.
    """
    root = _read_item(header)
    stack: list[tuple[ContentItem, tuple[int, ...]]] = [(root, (id(header),))]
    notes: dict[str, None] = {}
    count = 0
    while stack:
        item, path = stack.pop()
        if item.concept.value == IMAGE_LIBRARY or item.attributes.value("ContentSequence") in _NOTHING:
            continue
        items = item.attributes.items("ContentSequence")
        if len(path) > MAX_DEPTH or not items:
            notes["content that is nested too deeply or damaged is left out"] = None
            continue
        below = [each for each in items[: MAX_ITEMS - count] if id(each) not in path]
        if count + len(items) > MAX_ITEMS:
            notes[f"only the first {MAX_ITEMS:,} content items were read"] = None
        count += len(below)
        item.children.extend(child for child in map(_read_item, below) if not _points_elsewhere(child))
        stack.extend((child, (*path, id(child.attributes))) for child in reversed(item.children))
    return root, tuple(notes)


def _points_elsewhere(item: ContentItem) -> bool:
    """Tell whether an item stands for another one of the tree. Such an item has no value type (PS3.3 C.17.3.2.5)."""
    return not item.value_type and "ReferencedContentItemIdentifier" in item.attributes


def _read_item(attributes: Attributes) -> ContentItem:
    value_type = attributes.text("ValueType")
    if value_type is None:
        value_type = next((name for keyword, name in _VALUES.items() if keyword in attributes), "")
    return ContentItem(
        value_type=value_type, concept=read_code(attributes, "ConceptNameCodeSequence"), attributes=attributes
    )
