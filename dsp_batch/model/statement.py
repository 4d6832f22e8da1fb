"""A statement: one thing that an object without pixels says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One measurement, coded answer, region, beam or reference. Objects of all kinds speak in statements of one form.

    Texts are empty where there is nothing to say.
    """

    group: int
    """Number of the measurement group, region or beam that the statement is about, from 1."""

    group_name: str = ""
    """What the group is called."""

    site: str = ""
    """Part of the body that the group is about."""

    laterality: str = ""
    """Side of the body that the group is about."""

    concept: str = ""
    """What is told: the quantity, or the question."""

    code: str = ""
    """The concept as a code, `SCHEME:VALUE`."""

    value: float | None = None
    """The number, for a measurement that has a finite one."""

    text: str = ""
    """The answer, where it is no number."""

    unit: str = ""
    """Unit of the number as a code of UCUM."""

    segment: int | None = None
    """Number of the segment that was measured (0062,0004)."""

    tracking_uid: str = ""
    """Unique identifier by which a region is followed over time (0062,0021)."""

    series: str = ""
    """SeriesInstanceUID (0020,000E) of the series that was measured, or is referred to."""
