"""Describe encapsulated documents and models: title, type and size (PS3.3 C.24.2)."""

from __future__ import annotations

from collections.abc import Iterator

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.card import format_size
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun
from dsp_batch.model.card import Card

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
    """Describe documents by their headers, without opening them."""
    headers = list(instances.values())
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
