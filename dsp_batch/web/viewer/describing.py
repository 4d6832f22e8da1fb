"""What the API tells of series and files, from their headers; patients have pseudonyms where they are masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dsp_batch.dicom.frame_rate import describe_frame_rate
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.codecs import TRANSFER_SYNTAXES
from dsp_batch.dicom.pixels.format import describe_aspect
from dsp_batch.dicom.syntaxes import describe_syntax
from dsp_batch.kinds.maps import describe_unit
from dsp_batch.web.viewer.catalog import SeriesEntry
from dsp_batch.web.viewer.library import OpenSeries
from dsp_batch.web.viewer.masking import Mask
from dsp_batch.web.viewer.pixels.frames import describe_window, find_own_window
from dsp_batch.web.viewer.pixels.legends import find_reference_frames, name_overlay_kind, name_subjects
from dsp_batch.web.viewer.pixels.planes import find_spacing

_SERIES_TEXTS = {
    "series_instance_uid": "SeriesInstanceUID",
    "study_instance_uid": "StudyInstanceUID",
    "modality": "Modality",
    "description": "SeriesDescription",
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "study_date": "StudyDate",
    "study_description": "StudyDescription",
    "body_part": "BodyPartExamined",
    "sop_class_uid": "SOPClassUID",
}
"""Fields of a series in the API → keywords of its attributes."""


def describe_series_entry(entry: SeriesEntry) -> dict[str, Any]:
    """Describe a series for the API, as far as its headers have been read."""
    return {
        "id": entry.id,
        "series_instance_uid": None,
        "description": None,
        "modality": None,
        "frame_count": None,
        "overlay_kind": None,
        **entry.facts,
        "state": entry.state,
        "error": entry.error,
        "first_file": min(entry.numbers.values(), default=None),
        "middle": _number_middle(entry),
        "file_count": len(entry.numbers),
    }


def _number_middle(entry: SeriesEntry) -> dict[str, int] | None:
    name, frame = entry.facts.get("middle") or ("", 0)
    number = entry.numbers.get(name)
    return None if number is None else {"file": number, "frame": frame}


def describe_series(opened: OpenSeries, rows: list[int], mask: Mask | None) -> dict[str, Any]:
    """Describe a series by the first of its instances that are shown.

    Args:
        opened: The series.
        rows: Rows of the instances that are shown.
        mask: The mask of its patient; None to tell all.
    """
    index, row = opened.index, rows[0]
    first = index.attributes(row)
    facts: dict[str, Any] = {name: first.text(keyword) for name, keyword in _SERIES_TEXTS.items()}
    facts["series_number"] = first.integer("SeriesNumber")
    facts["frame_count"] = sum(opened.frame_counts[row] for row in rows)
    facts["has_pixels"] = facts["frame_count"] > 0
    facts["burned_in_annotation"] = "YES" in index.texts("BurnedInAnnotation")
    facts["rows"], facts["columns"] = first.integer("Rows"), first.integer("Columns")
    syntaxes = {syntax for syntax in index.texts("TransferSyntaxUID") if syntax}
    facts["unsupported"] = next(map(describe_syntax, sorted(syntaxes - TRANSFER_SYNTAXES.keys())), None)
    facts["notes"] = list(index.notes)
    facts["overlay_kind"] = name_overlay_kind(facts["sop_class_uid"] or "")
    facts["subjects"] = name_subjects(index, facts["overlay_kind"])
    facts["frames_of_reference"] = find_reference_frames(first)
    shown = [row for row in rows if opened.frame_counts[row]]
    middle = shown[len(shown) // 2] if shown else None
    facts["middle"] = None if middle is None else (index.object_names[middle], opened.frame_counts[middle] // 2)
    facts["folder"] = index.url
    if mask is None:
        return facts
    hidden: dict[str, Any] = {name: mask.hide_value(value) for name, value in facts.items()}
    return hidden | {
        "middle": facts["middle"],
        "patient_id": mask.pseudonym,
        "patient_name": mask.pseudonym,
        "folder": mask.pseudonym,
    }


def describe_file(opened: OpenSeries, row: int, mask: Mask | None) -> dict[str, Any]:
    """Describe a file of a series.

    Args:
        opened: The series.
        row: Row of the file.
        mask: The mask of its patient; None to tell all.
    """
    index = opened.index
    attributes = index.attributes(row)
    syntax = index.texts("TransferSyntaxUID")[row]
    has_pixels = row in opened.drawable
    is_supported = not has_pixels or syntax in TRANSFER_SYNTAXES
    rows, columns = _frame_shape(opened, row, attributes)
    return {
        "path": locate_file(opened, row, mask),
        "label": _label(row, attributes, mask),
        "has_pixels": has_pixels,
        "frame_count": opened.frame_counts[row],
        "rows": rows,
        "columns": columns,
        "transfer_syntax_uid": syntax or None,
        "default_window": describe_window(find_own_window(opened, row)) if has_pixels else None,
        "sop_instance_uid": attributes.text("SOPInstanceUID"),
        "sop_class_uid": attributes.text("SOPClassUID"),
        "instance_number": attributes.integer("InstanceNumber"),
        "modality": attributes.text("Modality"),
        "photometric_interpretation": attributes.text("PhotometricInterpretation"),
        "pixel_aspect_ratio": index.derive(describe_aspect, row) if has_pixels else None,
        "support_state": "renderable" if has_pixels and is_supported else "unsupported" if has_pixels else "no_pixels",
        "support_reason": None if is_supported else describe_syntax(syntax),
    }


def locate_file(opened: OpenSeries, row: int, mask: Mask | None) -> str:
    """Return the path or URL of a file. Names of folders and files may be those of patients, so a mask has its own."""
    index = opened.index
    if mask is not None:
        return f"{mask.pseudonym}/{index.series_uuid}/{row + 1:06d}.dcm"
    return "/".join(part for part in (index.root, index.objects_folder, index.values("FileName")[row]) if part)


def _frame_shape(opened: OpenSeries, row: int, attributes: Attributes) -> tuple[int | None, int | None]:
    """Find the rows and columns of a frame, or of one slice of a grid image."""
    grid, rows, columns = opened.index.grid(row), attributes.integer("Rows"), attributes.integer("Columns")
    if grid is None or rows is None or columns is None:
        return rows, columns
    return rows // grid.rows, columns // grid.columns


def _label(row: int, attributes: Attributes, mask: Mask | None) -> str:
    name = attributes.text("SeriesDescription") or attributes.text("Modality") or "file"
    number = attributes.integer("InstanceNumber")
    return f"{mask.hide(name) if mask else name} #{row + 1 if number is None else number}"


def describe_planes(opened: OpenSeries, row: int) -> list[dict[str, Any]]:
    """Describe where each frame of a file lies in the patient (PS3.3 C.7.6.2): position, orientation, spacing, in mm.

    The spacing is that of Pixel Spacing, which counts at the patient; spacings at the detector do not.
    """
    table, attributes = opened.index.frames, opened.index.attributes(row)
    numbers = np.flatnonzero(table.instance == row)
    return [
        {
            "frame": int(table.frame[number]),
            "image_position": _list_finite(table.position[number]),
            "image_orientation": _list_finite(table.orientation[number]),
            "pixel_spacing": find_spacing(attributes, int(table.frame[number])),
        }
        for number in numbers.tolist()
    ]


def describe_order(opened: OpenSeries, numbers: Mapping[int, int]) -> dict[str, Any]:
    """List the frames of a series in display order, and the stacks that they make up.

    Args:
        opened: The series.
        numbers: Row of each instance that is shown → the number of its file.
    """
    order, table = opened.index.order, opened.index.frames
    frames: list[dict[str, Any]] = []
    stacks: list[dict[str, Any]] = []
    for rank, entry in enumerate(order.permutation.tolist()):
        row, stack = int(table.instance[entry]), int(order.stack[rank])
        if row not in opened.drawable or row not in numbers:
            continue
        if not stacks or stacks[-1]["stack"] != stack:
            stacks.append({"stack": stack, "start": len(frames), "count": 0, "axis": order.axis[rank]})
        stacks[-1]["count"] += 1
        frames.append(
            {
                "file": numbers[row],
                "frame": int(table.frame[entry]),
                "position": _finite(order.primary_position[rank]),
                "sort_key": _finite(order.sort_key[rank]),
                "time": _finite(order.time[rank]),
                "stack": stack,
            }
        )
    axis = stacks[0]["axis"] if stacks else None
    return {"frames": frames, "stacks": stacks, "axis": axis, "has_main_stack": order.has_main}


def find_unit(attributes: Attributes) -> str | None:
    """Name the unit of the values of a file. CT images that do not name theirs are in HU (PS3.3 C.8.2.1.1)."""
    is_ct = attributes.text("Modality") == "CT" and attributes.number("RescaleSlope") is not None
    return describe_unit(attributes) or ("HU" if is_ct else None)


def find_frame_time(attributes: Attributes) -> float | None:
    """Find the milliseconds between frames at the object's own rate; None where it has none."""
    rate = describe_frame_rate(attributes)
    return 1000 / rate if rate else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _list_finite(values: Any) -> list[float] | None:
    return [float(value) for value in values] if np.isfinite(values).all() else None
