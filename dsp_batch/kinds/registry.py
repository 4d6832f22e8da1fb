"""SOP classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dsp_batch.dicom.headers.read import DEFLATED
from dsp_batch.errors import NoPixelsError, Reason
from dsp_batch.kinds.kind import PLAIN, Drawer
from dsp_batch.kinds.maps import DOSE, PARAMETRIC_MAP
from dsp_batch.kinds.segmentation import SEGMENTATION
from dsp_batch.kinds.slide import SLIDE
from dsp_batch.model.series import InstanceHeader

_ROWS, _SOP_CLASS_UID = 0x00280010, 0x00080016


_IDENTITY = {
    "series_instance_uid": 0x0020000E,
    "study_instance_uid": 0x0020000D,
    "modality": 0x00080060,
    "sop_class": _SOP_CLASS_UID,
}


RAW_DATA_STORAGE = "1.2.840.10008.5.1.4.1.1.66"

_STORAGE = "1.2.840.10008.5.1.4.1.1"
_NAMES = {f"{_STORAGE}.66.7": "Label Map Segmentation Storage"}
"""SOP classes that pydicom does not know yet."""

DRAWERS: Mapping[str, Drawer] = {
    f"{_STORAGE}.66.4": SEGMENTATION,
    f"{_STORAGE}.66.7": SEGMENTATION,  # label map
    f"{_STORAGE}.77.1.6": SLIDE,
    f"{_STORAGE}.481.2": DOSE,
    f"{_STORAGE}.30": PARAMETRIC_MAP,
}
"""SOP class → drawer; all others are plain images."""


def find_drawer(sop_class_uid: str) -> Drawer:
    """How objects of a SOP class are drawn."""
    return DRAWERS.get(sop_class_uid, PLAIN)


_FAMILIES_WITHOUT_PIXELS = tuple(f"{_STORAGE}.{family}." for family in (9, 11, 88, 104))
"""Waveforms, presentation states, structured reports and key objects, encapsulated documents and models."""

_CLASSES_WITHOUT_PIXELS = frozenset(
    {
        RAW_DATA_STORAGE,
        f"{_STORAGE}.66.1",  # Spatial Registration
        f"{_STORAGE}.66.2",  # Spatial Fiducials
        f"{_STORAGE}.66.3",  # Deformable Spatial Registration
        f"{_STORAGE}.66.5",  # Surface Segmentation
        f"{_STORAGE}.66.6",  # Tractography Results
        f"{_STORAGE}.67",  # Real World Value Mapping
        f"{_STORAGE}.91.1",  # Microscopy Bulk Simple Annotations
        f"{_STORAGE}.481.3",  # RT Structure Set
        f"{_STORAGE}.481.4",  # RT Beams Treatment Record
        f"{_STORAGE}.481.5",  # RT Plan
        f"{_STORAGE}.481.6",  # RT Brachy Treatment Record
        f"{_STORAGE}.481.7",  # RT Treatment Summary Record
        f"{_STORAGE}.481.8",  # RT Ion Plan
        f"{_STORAGE}.481.9",  # RT Ion Beams Treatment Record
    }
)


def lacks_pixels(uid: str) -> bool:
    """Whether objects of a SOP class never have pixels (PS3.4 B.5, PS3.3 A): known without reading any."""
    return uid in _CLASSES_WITHOUT_PIXELS or uid.startswith(_FAMILIES_WITHOUT_PIXELS)


def sop_class_name(uid: str) -> str:
    """Name of a SOP class."""
    from pydicom.uid import UID  # noqa: PLC0415  # 0.7 s

    return _NAMES.get(uid) or UID(uid).name


def is_image(header: InstanceHeader) -> bool:
    """Whether an instance is of a kind that has pixels, be they there or not (PS3.3 C.7.6.3)."""
    return _ROWS in header.elements


def has_pixels(header: InstanceHeader) -> bool:
    """Whether an instance has pixels, as far as its header tells."""
    placed = header.pixel_data_offset is not None or header.fragments_offset is not None
    return is_image(header) and (placed or header.transfer_syntax_uid == DEFLATED)


def sop_class_of(header: InstanceHeader) -> str:
    """SOP Class UID (0008,0016); empty where it is absent."""
    element = header.elements.get(_SOP_CLASS_UID)
    return element.text if element else ""


def identify(header: InstanceHeader) -> dict[str, str | None]:
    """What an instance tells of its series, by fields of the result row."""
    told = {name: element.text for name, tag in _IDENTITY.items() if (element := header.elements.get(tag))}
    return {name: told.get(name) or None for name in _IDENTITY}


def without_pixels(
    url: str, sop_classes: Iterable[str], known: Mapping[str, str | None] | None = None
) -> NoPixelsError:
    """The error of a series that has nothing to draw, naming what it is."""
    classes = dict.fromkeys(sop_classes)
    names = ", ".join(f"{sop_class_name(uid)} ({uid})" if uid else "objects without SOP class" for uid in classes)
    reason: Reason = "raw-data" if list(classes) == [RAW_DATA_STORAGE] else "no-pixels"
    return NoPixelsError(f"{url} has no object with pixels: it holds {names}; build-index works on it", reason, known)
