"""SOP classes."""

from __future__ import annotations

RAW_DATA_STORAGE = "1.2.840.10008.5.1.4.1.1.66"


def sop_class_name(uid: str) -> str:
    """Name of a SOP class."""
    from pydicom.uid import UID  # noqa: PLC0415  # 0.7 s

    return UID(uid).name
