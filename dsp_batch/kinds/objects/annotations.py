"""Describe bulk annotations of slides as far as the header tells: label, type, shape and count (PS3.3 C.37.1.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun
from dsp_batch.model.card import Card
from dsp_batch.model.statement import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationGroup:
    """One group of annotations."""

    label: str
    """Annotation Group Label (006A,0005), else its property type."""

    property_type: str
    """Meaning of Annotation Property Type Code Sequence (006A,000A); empty for none."""

    graphic: str
    """Graphic Type (0070,0023); empty where the object does not tell it."""

    count: int | None
    """Number of Annotations (006A,000C); None where the object does not tell it."""


def describe_annotations(instances: Instances) -> Card:
    """Describe bulk annotations: each group in a row."""
    groups = [group for header in instances.values() for group in list_annotation_groups(header)]
    count = sum(group.count or 0 for group in groups)
    first = next(iter(instances.values()))
    is_known = any(group.count is not None for group in groups)
    return Card(
        kind="ANN",
        headline=count_noun(count, "annotation") if is_known else count_noun(len(groups), "group"),
        title=first.text("ContentDescription") or first.text("SeriesDescription") or "Annotations",
        columns=("group", "type", "graphic", "annotations") if groups else (),
        rows=tuple(
            (group.label, group.property_type, group.graphic, "—" if group.count is None else f"{group.count:,}")
            for group in groups
        ),
        n_items=count if is_known else len(groups),
    )


def state_annotations(instances: Instances) -> tuple[Statement, ...]:
    """List type, graphic and count of each group as data."""
    found: list[Statement] = []
    groups = [group for header in instances.values() for group in list_annotation_groups(header)]
    for number, group in enumerate(groups, 1):
        texts = {"type": group.property_type, "graphic": group.graphic}
        found += [Statement(group=number, group_name=group.label, concept=k, text=v) for k, v in texts.items() if v]
        if group.count is not None:
            count = float(group.count)
            found.append(Statement(group=number, group_name=group.label, concept="annotations", value=count, unit="1"))
    return tuple(found)


def list_annotation_groups(header: Attributes) -> Iterator[AnnotationGroup]:
    """List the groups of an object in its order."""
    for number, item in enumerate(header.items("AnnotationGroupSequence"), 1):
        kind = str(read_code(item, "AnnotationPropertyTypeCodeSequence"))
        yield AnnotationGroup(
            label=item.text("AnnotationGroupLabel") or kind or f"Group {number}",
            property_type=kind,
            graphic=item.text("GraphicType") or "",
            count=item.integer("NumberOfAnnotations"),
        )
