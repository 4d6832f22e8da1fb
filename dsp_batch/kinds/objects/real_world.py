"""Describe real world value maps: unit, slope, intercept and range of each (PS3.3 C.7.6.16.2.11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun, format_number, format_unit
from dsp_batch.model.card import Card
from dsp_batch.model.statement import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueMap:
    """One mapping from stored values to values with a unit."""

    label: str
    """LUT Label (0040,9210), else LUT Explanation (0028,3003); empty for none."""

    unit: str
    """Code of the unit, as a rule of UCUM."""

    slope: float | None
    """Real World Value Slope (0040,9225); None where a table takes its place."""

    intercept: float | None
    """Real World Value Intercept (0040,9224); None where a table takes its place."""

    first: float | None
    """First stored value that is mapped."""

    last: float | None
    """Last stored value that is mapped."""

    images: int
    """Images that it is for."""


def describe_value_maps(instances: Instances) -> Card:
    """Describe real world value maps: each in a row."""
    maps = [each for header in instances.values() for each in list_value_maps(header)]
    first = next(iter(instances.values()))
    images: dict[ValueMap, int] = {}
    for each in maps:
        alike = replace(each, images=0)
        images[alike] = images.get(alike, 0) + each.images
    rows = tuple(
        (each.label, format_unit(each.unit), *_write_line(each), _write_range(each), f"{count:,}")
        for each, count in images.items()
    )
    return Card(
        kind="RWV",
        headline=count_noun(len(images), "mapping"),
        title=first.text("ContentDescription") or first.text("SeriesDescription") or "Real world values",
        columns=("mapping", "unit", "slope", "intercept", "stored values", "images") if rows else (),
        rows=rows,
        n_items=len(images),
    )


def state_value_maps(instances: Instances) -> tuple[Statement, ...]:
    """List slope and intercept of each mapping as data."""
    maps = [each for header in instances.values() for each in list_value_maps(header)]
    return tuple(
        Statement(group=number, group_name=each.label, concept=concept, value=value, unit=each.unit)
        for number, each in enumerate(maps, 1)
        for concept, value in (("slope", each.slope), ("intercept", each.intercept))
        if value is not None
    )


def list_value_maps(header: Attributes) -> Iterator[ValueMap]:
    """List the mappings of an object in its order."""
    for item in header.items("ReferencedImageRealWorldValueMappingSequence"):
        images = len(item.items("ReferencedImageSequence"))
        for each in item.items("RealWorldValueMappingSequence"):
            yield ValueMap(
                label=each.text("LUTLabel") or each.text("LUTExplanation") or "",
                unit=read_code(each, "MeasurementUnitsCodeSequence").value,
                slope=each.number("RealWorldValueSlope"),
                intercept=each.number("RealWorldValueIntercept"),
                first=_find_number(each, "RealWorldValueFirstValueMapped"),
                last=_find_number(each, "RealWorldValueLastValueMapped"),
                images=images,
            )


def _find_number(item: Attributes, keyword: str) -> float | None:
    number = item.number(keyword)
    return number if number is not None else item.number(f"DoubleFloat{keyword}")


def _write_line(each: ValueMap) -> tuple[str, str]:
    if each.slope is None and each.intercept is None:
        return "table", ""
    return format_number(each.slope), format_number(each.intercept)


def _write_range(each: ValueMap) -> str:
    return f"{format_number(each.first)} – {format_number(each.last)}"
