"""SOP classes by name, and those whose objects never have pixels (PS3.4 B.5, PS3.6 A)."""

from __future__ import annotations

RAW_DATA_STORAGE = "1.2.840.10008.5.1.4.1.1.66"

_STORAGE = "1.2.840.10008.5.1.4.1.1"
_NAMES = {f"{_STORAGE}.66.7": "Label Map Segmentation Storage"}
"""SOP classes that pydicom does not know yet."""

_FAMILIES_WITHOUT_PIXELS = tuple(f"{_STORAGE}.{family}." for family in (9, 11, 88, 104))
"""Waveforms, presentation states, structured reports and key objects, encapsulated documents and models."""

_CLASSES_WITHOUT_PIXELS = frozenset(
    {
        RAW_DATA_STORAGE,
        f"{_STORAGE}.4.2",  # MR Spectroscopy, whose Rows and Columns count spectra (PS3.3 C.8.14.1)
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
    """Tell whether objects of a SOP class never have pixels (PS3.4 B.5, PS3.3 A): known without reading any."""
    return uid in _CLASSES_WITHOUT_PIXELS or uid.startswith(_FAMILIES_WITHOUT_PIXELS)


def sop_class_name(uid: str) -> str:
    """Name a SOP class; one that nobody knows by its UID."""
    from pydicom.config import IGNORE  # noqa: PLC0415  # as the next import
    from pydicom.uid import UID  # noqa: PLC0415  # pydicom takes most of a second to import, and few need this

    return _NAMES.get(uid) or UID(uid, validation_mode=IGNORE).name  # its warnings would show the text
