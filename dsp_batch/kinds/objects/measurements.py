"""The measurements and coded answers of a structured report, group by group (PS3.16 TID 1410, 1411, 1500, 1501)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dsp_batch.dicom.content import ContentItem, read_measurement
from dsp_batch.model.statement import Statement

MEASUREMENT_GROUP = frozenset({"125007"})
IRRADIATION_EVENT = frozenset({"113706", "113819"})
"""Codes of an X-ray irradiation event (TID 10003) and of a CT acquisition (TID 10013)."""

_FINDING = frozenset({"121071"})
_FINDING_SITE = frozenset({"363698007", "G-C0E3"})
_TARGET_REGION = frozenset({"123014"})
_LATERALITY = frozenset({"272741003", "G-C171"})
_TRACKING_IDENTIFIER = frozenset({"112039"})
_TRACKING_UID = frozenset({"112040"})
_SOURCE_SERIES = frozenset({"121232"})
_EVENT_NAME = frozenset({"125203", "113820", "113721"})
"""Codes of the protocol and the type of an acquisition."""

_ABOUT_THE_GROUP = _FINDING | _FINDING_SITE | _TARGET_REGION | _LATERALITY | _EVENT_NAME
"""Coded answers that name a group and are not told again."""

_PLAIN_DERIVATIONS = frozenset({"R-41D41", "258104002", "R-002E1"})
"""Codes of derivations that say nothing of the quantity itself: measured, best value (CID 3627)."""

_REGIONS = frozenset({"SCOORD", "SCOORD3D"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A measurement group, or an irradiation event."""

    label: str
    """Its finding site with laterality, else its finding, its region's type, its tracking identifier."""

    statements: tuple[Statement, ...]
    """Its measurements and coded answers."""


def list_groups(root: ContentItem, codes: frozenset[str] = MEASUREMENT_GROUP) -> list[Group]:
    """List the groups of a content tree in its order.

    Args:
        root: The tree.
        codes: Codes of the concepts that make a container a group.
    """
    groups: list[Group] = []
    stack = [root]
    while stack:
        item = stack.pop()
        if item.concept.value in codes and item.value_type == "CONTAINER":
            groups.append(_read_group(item, len(groups) + 1))
        else:
            stack.extend(reversed(item.children))
    return groups


def list_statements(item: ContentItem, common: Statement) -> Iterator[Statement]:
    """List the measurements and coded answers in an item and all below it.

    Args:
        item: The item.
        common: What all of the statements share.
    """
    stack = [item]
    while stack:
        each = stack.pop()
        if each.value_type == "NUM":
            yield _state_number(each, common)
        elif each.value_type == "CODE" and not each.modifies and each.concept.value not in _ABOUT_THE_GROUP:
            yield replace(common, concept=str(each.concept), code=_join_code(each), text=str(each.answer))
        if each.value_type != "CODE":
            stack.extend(reversed(each.children))


def find_site(item: ContentItem) -> tuple[str, str]:
    """Find the part and the side of the body that a container or a measurement is about; empty where it tells none."""
    site = item.find(_FINDING_SITE) or item.find(_TARGET_REGION)
    side = item.find(_LATERALITY) or next(filter(None, (child.find(_LATERALITY) for child in item.children)), None)
    return str(site.answer) if site else "", str(side.answer) if side else ""


def name_quantity(item: ContentItem) -> str:
    """Name the quantity of a NUM item with what modifies it: `Attenuation (Mean)`."""
    more = [str(child.answer) for child in item.children if child.modifies and child.value_type == "CODE"]
    plain = [str(c.answer) for c in item.children if c.value_type == "CODE" and c.answer.value in _PLAIN_DERIVATIONS]
    told = [text for text in more if text and text not in plain]
    return f"{item.concept} ({', '.join(told)})" if told else str(item.concept)


def _read_group(item: ContentItem, number: int) -> Group:
    site, side = find_site(item)
    tracking = item.find(_TRACKING_IDENTIFIER)
    tracking_uid, series = item.find(_TRACKING_UID), item.find(_SOURCE_SERIES)
    label = " ".join(part for part in (site, side.lower()) if part) or _name_group(item)
    name = (tracking.attributes.text("TextValue") if tracking else None) or label
    common = Statement(
        group=number,
        group_name=name,
        site=site,
        laterality=side,
        segment=_find_segment(item),
        tracking_uid=(tracking_uid.attributes.text("UID") if tracking_uid else None) or "",
        series=(series.attributes.text("UID") if series else None) or "",
    )
    label = label or name or f"Group {number}"
    return Group(label=label, statements=tuple(list_statements(item, common)))


def _name_group(item: ContentItem) -> str:
    named = item.find(_FINDING) or item.find(_EVENT_NAME)
    if named and (text := str(named.answer) or named.attributes.text("TextValue") or ""):
        return text
    region = next((each for each in item.walk() if each.value_type in _REGIONS), None)
    return (region.attributes.text("GraphicType") or "").capitalize() if region else ""


def _find_segment(item: ContentItem) -> int | None:
    for child in item.children:
        if child.value_type == "IMAGE":
            segment = child.attributes.item("ReferencedSOPSequence").integer("ReferencedSegmentNumber")
            if segment is not None:
                return segment
    return None


def _state_number(item: ContentItem, common: Statement) -> Statement:
    measured = read_measurement(item)
    return replace(
        common,
        concept=name_quantity(item),
        code=_join_code(item),
        value=measured.value,
        text=measured.qualifier if measured.value is None else "",
        unit=measured.unit.value,
    )


def _join_code(item: ContentItem) -> str:
    return f"{item.concept.scheme}:{item.concept.value}" if item.concept.value else ""
