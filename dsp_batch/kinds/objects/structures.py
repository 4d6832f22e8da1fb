"""Describe structure sets: the name, type and extent of each region of interest (PS3.3 C.8.8.5, C.8.8.6, C.8.8.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

from dsp_batch.dicom.headers.attributes import EMPTY, Attributes
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun, format_number
from dsp_batch.model.card import Card
from dsp_batch.model.statement import Statement

_PLANE_MM = 0.01
"""Planes of contours that are closer than this are one plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionOfInterest:
    """One region of interest of a structure set."""

    name: str
    """ROI Name (3006,0026), else its number."""

    interpretation: str
    """RT ROI Interpreted Type (3006,00A4), such as `ORGAN`; empty where nothing tells it."""

    geometry: str
    """Contour Geometric Type (3006,0042) of its first contour; empty where it has no contours."""

    planes: int
    """Planes that its contours lie in. A contour that lies in no plane across the patient counts as one."""

    points: int
    """Points of all its contours."""

    volume_cm3: float | None
    """ROI Volume (3006,002C); None where the object does not tell it."""


def describe_structures(instances: Instances) -> Card:
    """Describe structure sets: each region of interest in a row, those without contours too."""
    regions = [region for header in instances.values() for region in list_regions(header)]
    first = next(iter(instances.values()))
    has_volumes = any(region.volume_cm3 is not None for region in regions)
    rows = []
    for region in regions:
        extent = f"{region.planes:,}", f"{region.points:,}"
        volume = ("" if region.volume_cm3 is None else format_number(region.volume_cm3),) if has_volumes else ()
        kind = region.interpretation.lower() or ("point" if region.geometry == "POINT" else "")
        rows.append((region.name, kind, *(extent if region.points else ("", "no contours")), *volume))
    return Card(
        kind="RTSTRUCT",
        headline=count_noun(len(regions), "region"),
        title=first.text("StructureSetLabel") or first.text("SeriesDescription") or "Structure set",
        columns=("region", "type", "planes", "points", *(("volume, cm³",) if has_volumes else ())),
        rows=tuple(rows),
        n_items=len(regions),
    )


def state_structures(instances: Instances) -> tuple[Statement, ...]:
    """List what structure sets tell of each region as data."""
    found: list[Statement] = []
    regions = [region for header in instances.values() for region in list_regions(header)]
    for number, region in enumerate(regions, 1):
        texts = {"type": region.interpretation, "geometry": region.geometry}
        numbers = {"planes": (region.planes, "1"), "points": (region.points, "1"), "volume": (region.volume_cm3, "cm3")}
        found += [Statement(group=number, group_name=region.name, concept=k, text=v) for k, v in texts.items() if v]
        found += [
            Statement(group=number, group_name=region.name, concept=name, value=float(value), unit=unit)
            for name, (value, unit) in numbers.items()
            if value is not None
        ]
    return tuple(found)


def list_regions(header: Attributes) -> Iterator[RegionOfInterest]:
    """List the regions of a structure set in its order."""
    contours = {item.integer("ReferencedROINumber"): item for item in header.items("ROIContourSequence")}
    observations = {item.integer("ReferencedROINumber"): item for item in header.items("RTROIObservationsSequence")}
    for item in header.items("StructureSetROISequence"):
        number = item.integer("ROINumber")
        its_contours = contours.get(number, EMPTY).items("ContourSequence")
        yield RegionOfInterest(
            name=item.text("ROIName") or f"ROI {number}",
            interpretation=observations.get(number, EMPTY).text("RTROIInterpretedType") or "",
            geometry=next((each.text("ContourGeometricType") or "" for each in its_contours), ""),
            planes=_count_planes(its_contours),
            points=sum(_count_points(each) for each in its_contours),
            volume_cm3=item.number("ROIVolume"),
        )


def _count_points(contour: Attributes) -> int:
    told = contour.integer("NumberOfContourPoints")
    return max(told, 0) if told is not None else len(_coordinates(contour)) // 3


def _count_planes(contours: tuple[Attributes, ...]) -> int:
    planes: set[int] = set()
    others = 0
    for contour in contours:
        told = set(_coordinates(contour)[2::3])
        heights = {value for value in told if isinstance(value, int | float) and isfinite(value)}
        if len(heights) == 1:
            planes.add(round(next(iter(heights)) / _PLANE_MM))
        else:
            others += bool(heights)
    return len(planes) + others


def _coordinates(contour: Attributes) -> list[Any]:
    values = contour.value("ContourData")
    return values if isinstance(values, list) else []
