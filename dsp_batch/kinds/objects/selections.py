"""Describe objects that point at others: key object selections (PS3.3 A.35.4) and presentation states (PS3.3 A.33)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dsp_batch.dicom.content import read_content
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.palette import read_color_map
from dsp_batch.dicom.sop_classes import sop_class_name
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun, format_number
from dsp_batch.model.card import Card
from dsp_batch.model.statement import Statement

_MODIFIERS = frozenset({"113011"})
_DESCRIPTION = frozenset({"113012"})
"""Codes of the modifier of a selection's title, and of its description (TID 2010)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedSeries:
    """Objects of one series that an object points at."""

    series: str
    """SeriesInstanceUID (0020,000E); empty where the object does not tell it."""

    sop_class: str
    """SOP class of the first of them."""

    count: int
    """How many they are. An object that is named several times counts once."""


def describe_selection(instances: Instances) -> Card:
    """Describe key object selections: title, modifier, and how many objects of which series they point at."""
    references = [reference for header in instances.values() for reference in list_evidence(header)]
    count = sum(reference.count for reference in references)
    first = next(iter(instances.values()))
    root, _ = read_content(first)
    modifiers = [str(child.answer) for child in root.children if child.concept.value in _MODIFIERS]
    description = root.find(_DESCRIPTION)
    text = (description.attributes.text("TextValue") or "").strip() if description else ""
    series = count_noun(len(references), "series", "series")
    return Card(
        kind="KO",
        headline=f"{count_noun(count, 'reference')} in {series}",
        title=str(root.concept) or first.text("SeriesDescription") or "Key objects",
        columns=("series", "objects", "class") if references else (),
        rows=tuple(_write_reference(reference) for reference in references),
        lines=(*dict.fromkeys(filter(None, modifiers)), *text.splitlines()[:1]),
        n_items=count,
    )


def describe_state(instances: Instances) -> Card:
    """Describe presentation states: label, what they point at, windows, graphics, shutter and turns."""
    headers = list(instances.values())
    references = [reference for header in headers for reference in list_series_references(header)]
    count = sum(reference.count for reference in references)
    first = headers[0]
    series = count_noun(len(references), "series", "series")
    return Card(
        kind="PR",
        headline=f"{count_noun(count, 'reference')} in {series}",
        title=first.text("ContentDescription") or first.text("ContentLabel") or "Presentation state",
        columns=("series", "objects", "class") if references else (),
        rows=tuple(_write_reference(reference) for reference in references),
        lines=tuple(dict.fromkeys(line for header in headers for line in _list_orders(header))),
        n_items=count,
    )


def state_references(instances: Instances) -> tuple[Statement, ...]:
    """List what selections and presentation states point at as data, each series as a group."""
    found = [
        each for header in instances.values() for each in (*list_evidence(header), *list_series_references(header))
    ]
    return tuple(
        Statement(
            group=number,
            concept="references",
            value=float(reference.count),
            unit="1",
            text=sop_class_name(reference.sop_class) if reference.sop_class else "",
            series=reference.series,
        )
        for number, reference in enumerate(found, 1)
    )


def list_evidence(header: Attributes) -> Iterator[ReferencedSeries]:
    """List the series that a document points at (PS3.3 C.17.2)."""
    for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in header.items(name):
            yield from list_series_references(study)


def list_series_references(header: Attributes) -> Iterator[ReferencedSeries]:
    """List the series of a Referenced Series Sequence (0008,1115)."""
    for series in header.items("ReferencedSeriesSequence"):
        objects = [
            item
            for name in ("ReferencedSOPSequence", "ReferencedImageSequence", "ReferencedInstanceSequence")
            for item in series.items(name)
        ]
        sop_class = objects[0].text("ReferencedSOPClassUID") if objects else None
        instances = {item.text("ReferencedSOPInstanceUID") for item in objects}
        yield ReferencedSeries(
            series=series.text("SeriesInstanceUID") or "", sop_class=sop_class or "", count=len(instances)
        )


def _list_orders(header: Attributes) -> Iterator[str]:
    """List what a presentation state orders, in a line each."""
    for voi in header.items("SoftcopyVOILUTSequence"):
        for center, width in zip(voi.numbers("WindowCenter"), voi.numbers("WindowWidth"), strict=False):
            yield f"window: center {format_number(center)}, width {format_number(width)}"
        if tables := voi.items("VOILUTSequence"):
            yield f"window: {tables[0].text('LUTExplanation') or 'a table'}"
    if header.text("PresentationLUTShape") == "INVERSE":
        yield "inverted"
    if turn := header.integer("ImageRotation"):
        yield f"turned by {turn}° clockwise"
    if header.text("ImageHorizontalFlip") == "Y":
        yield "mirrored"
    if shutters := header.texts("ShutterShape"):
        yield f"shutter: {', '.join(shutters).lower()}"
    annotations = header.items("GraphicAnnotationSequence")
    shapes = sum(len(each.items("GraphicObjectSequence")) for each in annotations)
    texts = sum(len(each.items("TextObjectSequence")) for each in annotations)
    if shapes or texts:
        yield f"graphics: {count_noun(shapes, 'shape')}, {count_noun(texts, 'text')}"
    if blendings := header.items("AdvancedBlendingSequence"):
        yield f"blends {count_noun(len(blendings), 'input')}"
        yield from map(_write_input, blendings)


def _write_input(item: Attributes) -> str:
    """Write an input of a blending: its number, the end of its series, its window, and the color of high values."""
    series = item.text("SeriesInstanceUID") or ""
    voi = item.item("SoftcopyVOILUTSequence")
    centers, widths = voi.numbers("WindowCenter"), voi.numbers("WindowWidth")
    window = f", center {format_number(centers[0])}, width {format_number(widths[0])}" if centers and widths else ""
    colors = read_color_map(item.item("PaletteColorLookupTableSequence"))
    color = "" if colors is None else f", color #{bytes(colors[-1]).hex()}"
    return f"input {item.integer('BlendingInputNumber') or '?'}: series …{series[-_TAIL:]}{window}{color}"


def _write_reference(reference: ReferencedSeries) -> tuple[str, str, str]:
    """Write a reference. Of the UID, which is longer than a column, the end is shown."""
    name = sop_class_name(reference.sop_class).removesuffix(" Storage") if reference.sop_class else ""
    series = reference.series if len(reference.series) <= _TAIL else f"…{reference.series[-_TAIL:]}"
    return series, f"{reference.count:,}", name


_TAIL = 12
"""Characters of a UID that tell series apart."""
