"""Describe encapsulated documents and models: title, type and size; of CDA also its sections (PS3.3 C.24.2)."""

from __future__ import annotations

from collections.abc import Iterator

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.errors import PixelError
from dsp_batch.kinds.card import format_size
from dsp_batch.kinds.figures.solid import read_solid
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.narrative import read_narrative
from dsp_batch.kinds.objects.quantities import count_noun
from dsp_batch.model.card import Card
from dsp_batch.model.figure import Document, Figure

_MODELS = frozenset({"model/stl", "application/sla", "model/obj"})
"""MIME types of models of surfaces."""

_KINDS = {
    "application/pdf": "PDF",
    "text/xml": "CDA",
    "model/stl": "STL",
    "application/sla": "STL",
    "model/obj": "OBJ",
    "model/mtl": "MTL",
}
"""MIME type → what people call such a document."""


def describe_documents(instances: Instances) -> Card:
    """Describe documents by their headers, and a clinical document by its sections where it was read."""
    headers = list(instances.values())
    if len(headers) == 1 and (card := _describe_sections(headers[0])):
        return card
    first = headers[0]
    mime_type = (first.text("MIMETypeOfEncapsulatedDocument") or "").lower()
    size = sum(_measure(header) for header in headers)
    return Card(
        kind=_KINDS.get(mime_type, "Document"),
        headline=f"{count_noun(len(headers), 'document')}{f' · {format_size(size)}' if size else ''}",
        title=first.text("DocumentTitle") or first.text("SeriesDescription") or "Document",
        rows=tuple(dict.fromkeys(fact for header in headers for fact in _list_facts(header))),
        n_items=len(headers),
    )


def draw_documents(instances: Instances) -> Figure | None:
    """Read what documents show: the pages of the first one that is PDF, else the models of all."""
    types = {row: (each.text("MIMETypeOfEncapsulatedDocument") or "").lower() for row, each in instances.items()}
    pages = [each for row, each in instances.items() if types[row] == "application/pdf"]
    if pages:
        data = pages[0].binary("EncapsulatedDocument")
        return None if data is None else Document(data=data)
    models = {row: each for row, each in instances.items() if types[row] in _MODELS}
    return read_solid(models) if models else None


def _describe_sections(header: Attributes) -> Card | None:
    """Describe a clinical document by its sections; None where it is none, or was not read."""
    data = header.binary("EncapsulatedDocument")
    if data is None or (header.text("MIMETypeOfEncapsulatedDocument") or "").lower() != "text/xml":
        return None
    try:
        narrative = read_narrative(data)
    except PixelError:
        return None
    sections = narrative.sections
    return Card(
        kind="CDA",
        headline=count_noun(len(sections), "section"),
        title=narrative.title.strip() or header.text("DocumentTitle") or "Clinical document",
        rows=tuple((section.title.strip(), section.first_line) for section in sections),
        n_items=len(sections),
    )


def _list_facts(header: Attributes) -> Iterator[tuple[str, str]]:
    facts = {
        "title": header.text("DocumentTitle"),
        "type": str(read_code(header, "ConceptNameCodeSequence")),
        "MIME type": header.text("MIMETypeOfEncapsulatedDocument"),
        "size": format_size(size) if (size := _measure(header)) else None,
        "unit": str(read_code(header, "MeasurementUnitsCodeSequence")),
    }
    yield from ((name, fact) for name, fact in facts.items() if fact)


def _measure(header: Attributes) -> int:
    """Measure a document in bytes; 0 where the header does not tell."""
    told = header.integer("EncapsulatedDocumentLength")
    return max(told, 0) if told is not None else len(header.binary("EncapsulatedDocument") or b"")
