"""The place of a series that another one speaks of."""

from __future__ import annotations

from typing import Literal, NamedTuple

ContextMode = Literal["cached", "fetch", "off"]
"""What may be read for the image that an object speaks of: an index that the cache has already, its headers too, or
nothing."""


class SeriesPlace(NamedTuple):
    """Where a series is, by the identifiers that objects refer to it by."""

    series_instance_uid: str
    """SeriesInstanceUID (0020,000E)."""

    study_instance_uid: str
    """StudyInstanceUID (0020,000D); empty where it is not known."""

    sop_class: str
    """SOP class of its first object; empty where it is not known."""

    root: str
    """As in `SeriesRef`, like the next two."""

    series_uuid: str
    folder: str | None = None
    endpoint_url: str | None = None
