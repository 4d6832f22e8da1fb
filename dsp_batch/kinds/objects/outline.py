"""The content tree of a report as lines of text, for reports of any template."""

from __future__ import annotations

from collections.abc import Iterator

from dsp_batch.dicom.content import ContentItem, read_measurement
from dsp_batch.kinds.objects.measurements import find_site, name_quantity
from dsp_batch.kinds.objects.quantities import format_quantity

MAX_LINES = 1000
"""Lines of an outline that are kept. A card shows a few of them."""

_HIDDEN = frozenset(
    {
        "121005",  # observer type
        "121012",  # device observer UID
        "121013",  # device observer name
        "121029",  # subject name
        "121030",  # subject identifier
        "121031",  # subject birth date
        "121036",  # mother of fetus
        "121049",  # language
        "121008",  # person observer name
    }
)
"""Codes of concepts that say who was there rather than what was found."""

_SEPARATOR = " › "

_VALUES = frozenset({"NUM", "CODE", "TEXT"})
"""Value types that are told. Names, dates, which may be dates of birth, and identifiers are not."""


def outline_content(root: ContentItem) -> list[tuple[str, str]]:
    """Outline a content tree in its order. What is told twice in one section is written once.

    Returns:
        Names and values. A heading has an empty value, and stands wherever the section changes.
    """
    lines: list[tuple[str, str]] = []
    known: set[tuple[str, str, str]] = set()
    last = ""
    for section, item in _walk(root):
        value = _write_value(item) if item.value_type in _VALUES and item.concept.value not in _HIDDEN else ""
        statement = (section, name_quantity(item), value)
        if value and statement not in known:
            if section != last:
                lines.append((section or str(root.concept), ""))
                last = section
            known.add(statement)
            lines.append(statement[1:])
        if len(lines) >= MAX_LINES:
            break
    return lines


def _walk(root: ContentItem) -> Iterator[tuple[str, ContentItem]]:
    """Iterate over a tree with the section of each item, without what modifies others and what is below hidden items.

    A section is named by at most two levels of headings.
    """
    top = [root] if root.value_type in _VALUES else [each for each in root.children if not each.modifies]
    stack: list[tuple[tuple[str, ...], ContentItem]] = [((), each) for each in reversed(top)]
    while stack:
        path, item = stack.pop()
        yield _SEPARATOR.join(path[-2:]), item
        if item.concept.value in _HIDDEN or item.value_type == "PNAME":
            continue
        if item.value_type == "CONTAINER" and (name := _name_section(item)):
            path = (*path, name)
        stack.extend((path, child) for child in reversed(item.children) if not child.modifies)


def _name_section(item: ContentItem) -> str:
    return " · ".join(part for part in (str(item.concept), *find_site(item)) if part)


def _write_value(item: ContentItem) -> str:
    if item.value_type == "NUM":
        measured = read_measurement(item)
        return measured.qualifier or format_quantity(measured.value, measured.unit.value)
    if item.value_type == "CODE":
        return str(item.answer)
    return next(iter((item.attributes.text("TextValue") or "").strip().splitlines()), "")
