"""Find the kind of the objects of a SOP class, and the instances of a series that can be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dsp_batch.dicom import sop_classes
from dsp_batch.dicom.syntaxes import DEFLATED
from dsp_batch.errors import NoPixelsError, Reason
from dsp_batch.index.content import add_content
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.card import describe_headers, list_references, shorten_card
from dsp_batch.kinds.kind import PLAIN, Contents, Kind
from dsp_batch.model.card import Card
from dsp_batch.model.series import InstanceHeader

_STORAGE = "1.2.840.10008.5.1.4.1.1"

_SLIDES = f"{_STORAGE}.77.1.6"

COMPOSED_CLASSES = frozenset({_SLIDES, *(f"{_STORAGE}.{last}" for last in ("66.4", "66.7", "481.2", "30"))})
"""SOP classes whose images are more than plain ones. `kinds/composed.py` has the kind of each."""

_ROWS, _SOP_CLASS_UID = 0x00280010, 0x00080016

_IDENTITY = {
    "series_instance_uid": 0x0020000E,
    "study_instance_uid": 0x0020000D,
    "modality": 0x00080060,
    "sop_class": _SOP_CLASS_UID,
}
"""Tags of the elements that identify a series, by field of the result row."""


def find_kind(sop_class_uid: str) -> Kind:
    """Find the kind of the objects of a SOP class; objects that nothing else is known of are plain images."""
    if sop_class_uid in COMPOSED_CLASSES:
        from dsp_batch.kinds.composed import COMPOSED_KINDS  # noqa: PLC0415  # rooms that plain images do without

        return COMPOSED_KINDS[sop_class_uid]
    if not sop_classes.lacks_pixels(sop_class_uid):
        return PLAIN
    from dsp_batch.kinds.without_pixels import KINDS  # noqa: PLC0415  # a dozen rooms that images do without

    return KINDS.get(sop_class_uid, PLAIN)


def is_image(sop_class_uid: str) -> bool:
    """Tell whether objects of a SOP class are images that others may be drawn over, and speak of none themselves."""
    is_plain = sop_class_uid not in COMPOSED_CLASSES and not sop_classes.lacks_pixels(sop_class_uid)
    return is_plain or sop_class_uid == _SLIDES


def holds_images_alone(index: SeriesIndex) -> bool:
    """Tell whether all objects of a series are such images."""
    return all(map(is_image, dict.fromkeys(index.texts("SOPClassUID"))))


def lacks_pictures(sop_class_uid: str) -> bool:
    """Tell whether objects of a SOP class can never be drawn, without reading any."""
    return find_kind(sop_class_uid).needs_pixels and sop_classes.lacks_pixels(sop_class_uid)


def may_be_drawn(header: InstanceHeader) -> bool:
    """Tell whether an instance is of a kind that can be drawn, with or without its pixels (PS3.3 C.7.6.3)."""
    return _ROWS in header.elements or not find_kind(sop_class_of(header)).needs_pixels


def drawable_rows(index: SeriesIndex) -> list[int]:
    """List the rows of the instances that can be drawn: all of a kind that needs no pixels, else those with pixels."""
    names = ("PixelDataOffset", "FragmentsOffset", "TransferSyntaxUID", "Rows")
    classes = index.texts("SOPClassUID")
    needs_pixels = {uid: find_kind(uid).needs_pixels for uid in dict.fromkeys(classes)}
    return [
        row
        for row, (sop_class, native, encapsulated, syntax, rows) in enumerate(
            zip(classes, *map(index.values, names), strict=True)
        )
        if not needs_pixels[sop_class]
        or (rows and (native is not None or encapsulated is not None or syntax == DEFLATED))
    ]


def group_by_kind(index: SeriesIndex) -> dict[Kind, list[int]]:
    """Group the rows of the instances of a series that can be drawn by kind. No header is decoded for that."""
    rows_of_class: dict[str, list[int]] = {}
    classes = index.texts("SOPClassUID")
    for row in drawable_rows(index):
        rows_of_class.setdefault(classes[row], []).append(row)
    rows: dict[Kind, list[int]] = {}
    for uid, its_rows in rows_of_class.items():
        rows.setdefault(find_kind(uid), []).extend(its_rows)
    return {kind: sorted(its_rows) for kind, its_rows in rows.items()}


def find_speakers(index: SeriesIndex) -> tuple[Kind, list[int]]:
    """Find the instances that a series without images is described by, and their kind.

    Returns:
        The first kind that describes its instances, and their rows; else plain ones, and all rows.
    """
    rows: dict[Kind, list[int]] = {}
    for row, uid in enumerate(index.texts("SOPClassUID")):
        rows.setdefault(find_kind(uid), []).append(row)
    found = ((kind, its_rows) for kind, its_rows in rows.items() if kind.describe is not None)
    return next(found, (PLAIN, list(range(len(index)))))


def describe_instances(kind: Kind, contents: Contents) -> Card:
    """Describe instances that show no image: as their kind does, or from their headers alone."""
    card = kind.describe(contents.instances) if kind.describe else describe_headers(contents)
    return shorten_card(card)


def add_statements(index: SeriesIndex) -> SeriesIndex:
    """Add what the instances of a series state to its index, as data: the column `Content`."""
    states = [find_kind(uid).state for uid in index.texts("SOPClassUID")]
    return add_content(
        index, [None if state is None else state({row: index.attributes(row)}) for row, state in enumerate(states)]
    )


def name_references(index: SeriesIndex) -> tuple[str, ...]:
    """Name the SeriesInstanceUIDs (0020,000E) of the series that a series refers to."""
    return tuple(list_references({row: index.attributes(row) for row in range(len(index))}))


def sop_class_of(header: InstanceHeader) -> str:
    """Read the SOP Class UID (0008,0016) of an instance; empty where it is absent."""
    element = header.elements.get(_SOP_CLASS_UID)
    return element.text if element else ""


def identify(header: InstanceHeader) -> dict[str, str | None]:
    """Read the elements that identify the series of an instance, by field of the result row."""
    told = {name: element.text for name, tag in _IDENTITY.items() if (element := header.elements.get(tag))}
    return {name: told.get(name) or None for name in _IDENTITY}


def without_pixels(
    url: str, sop_classes_found: Iterable[str], known: Mapping[str, str | None] | None = None
) -> NoPixelsError:
    """Make the error of a series that has nothing to draw, which names the SOP classes that the series holds."""
    classes = dict.fromkeys(sop_classes_found)
    names = ", ".join(
        f"{sop_classes.sop_class_name(uid)} ({uid})" if uid else "objects without SOP class" for uid in classes
    )
    message = f"{url} has no object with pixels: it holds {names}; build-index works on it"
    return NoPixelsError(message, reason_to_skip(classes), known)


def reason_to_skip(sop_classes_found: Iterable[str]) -> Reason:
    """Tell the reason for which a series without pixels is skipped, by the SOP classes that it holds."""
    return "raw-data" if {*sop_classes_found} == {sop_classes.RAW_DATA_STORAGE} else "no-pixels"
