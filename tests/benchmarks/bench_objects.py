"""Objects without pixels: CPU of their cards and pictures, on generated ones as large as real ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from bench_figures import Figure
from bench_places import Bench
from bench_process import run_task
from pydicom import uid

from dsp_batch.phantom.modules import code, common
from dsp_batch.phantom.objects import PhantomSeries, build_single
from dsp_batch.phantom.series import write_collection

_GROUPS, _QUANTITIES = 104, 11
"""A report of TotalSegmentator."""

_REGIONS, _CONTOURS, _POINTS = 11, 51, 250
"""A structure set of 140,000 points."""


def bench_objects(bench: Bench) -> Iterator[Figure]:
    """Each object: from its index to its picture, and the whole path."""
    objects = {
        "report of 104 × 11": _build_report(),
        "structure set of 140,000 points": _build_structures(),
        "STL of 1,250": _build_model("small", 18),
        "STL of 100,000": _build_model("large", 158),
    }
    folder = bench.scratch("objects")
    write_collection(folder, objects.values())
    for name, series in objects.items():
        bench.say(f"objects: {name}")
        arguments = {"root": str(folder), "series_uuid": series.series_uuid}
        values = run_task("draw_object", arguments, kind="objects", runs=bench.runs)
        for operation in ("picture, index at hand", "whole path"):
            cpu = {"cpu_seconds": values[operation]}
            yield Figure(part="objects", case=name, source="memory", operation=operation, values=cpu)


def _item(kind: str, meaning: str, value: str, **more: Any) -> dict[str, Any]:
    head = {"RelationshipType": "CONTAINS", "ValueType": kind}
    return head | {"ConceptNameCodeSequence": code(value, "DCM", meaning)} | more


def _build_report() -> PhantomSeries:
    millimeters = code("mm", "UCUM", "millimeter")
    groups = []
    for group in range(_GROUPS):
        site = _item("CODE", "Finding Site", "363698007", ConceptCodeSequence=code(f"{group}", "99T", f"Organ {group}"))
        numbers = [
            _item(
                "NUM",
                f"Quantity {number}",
                f"Q{number}",
                MeasuredValueSequence=[
                    {"NumericValue": f"{group + number / 7:.6g}", "MeasurementUnitsCodeSequence": millimeters}
                ],
            )
            for number in range(_QUANTITIES)
        ]
        groups.append(_item("CONTAINER", "Measurement Group", "125007", ContentSequence=[site, *numbers]))
    measurements = _item("CONTAINER", "Imaging Measurements", "126010", ContentSequence=groups)
    root = _item("CONTAINER", "Imaging Measurement Report", "126000", ContentSequence=[measurements])
    return build_single("report", common("report", "Report", "SR", uid.EnhancedSRStorage) | root, None)


def _build_structures() -> PhantomSeries:
    angles = np.linspace(0, 2 * np.pi, _POINTS)
    contours = []
    for plane in range(_CONTOURS):
        points = np.stack([100 * np.cos(angles), 80 * np.sin(angles), np.full(_POINTS, 3.0 * plane)], axis=1)
        numbers = [f"{value:.4f}" for value in points.ravel()]
        contours.append(
            {"ContourGeometricType": "CLOSED_PLANAR", "NumberOfContourPoints": _POINTS, "ContourData": numbers}
        )
    attributes = {
        **common("structures", "Structures", "RTSTRUCT", uid.RTStructureSetStorage),
        "StructureSetLabel": "BENCH",
        "StructureSetROISequence": [{"ROINumber": n, "ROIName": f"Region {n}"} for n in range(_REGIONS)],
        "ROIContourSequence": [{"ReferencedROINumber": n, "ContourSequence": contours} for n in range(_REGIONS)],
    }
    return build_single("structures", attributes, None)


def _build_model(name: str, rings: int) -> PhantomSeries:
    """Build a ball with bumps, of 4 × rings² triangles."""
    latitude, longitude = np.meshgrid(
        np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1), indexing="ij"
    )
    radius = 30 + 3 * np.sin(8 * latitude) * np.cos(6 * longitude)
    x, y = np.sin(latitude) * np.cos(longitude), np.sin(latitude) * np.sin(longitude)
    points = (radius[..., None] * np.stack([x, y, np.cos(latitude)], axis=-1)).astype("<f4")
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    corners = [np.stack(each, axis=2).reshape(-1, 9) for each in ((a, b, c), (a, c, d))]
    triangles = np.concatenate(corners)
    facets = np.zeros((len(triangles), 50), np.uint8)
    facets[:, 12:48] = triangles.view(np.uint8).reshape(-1, 36)
    data = bytes(80) + struct.pack("<I", len(triangles)) + facets.tobytes()
    attributes = {
        **common(name, "Model", "M3D", uid.EncapsulatedSTLStorage),
        "MIMETypeOfEncapsulatedDocument": "model/stl",
        "EncapsulatedDocument": data,
        "MeasurementUnitsCodeSequence": code("mm", "UCUM", "mm"),
    }
    return build_single(name, attributes, None)
