"""Read the triangles of encapsulated models: binary and ASCII STL, and OBJ (PS3.3 A.85.1, A.85.2, C.35)."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.errors import PixelError
from dsp_batch.kinds.figures.thinning import thin_triangles
from dsp_batch.kinds.kind import Instances
from dsp_batch.model.figure import Solid
from dsp_batch.model.series import FloatArray

_HEAD, _FACET = 84, 50
"""Bytes before the first triangle of a binary STL, and of each triangle: normal, three corners, attributes."""

_UNIT_MM = {"um": 0.001, "mm": 1.0, "cm": 10.0, "m": 1000.0, "[in_i]": 25.4}
"""Unit of length (CID 7063) → mm."""

_PLAIN_COLOR = (222, 205, 176)

_VERTEX = re.compile(rb"vertex\s+([^\r\n]*)", re.IGNORECASE)
_OBJ_VERTEX = re.compile(rb"^v[ \t]+(\S+[ \t]+\S+[ \t]+\S+)", re.MULTILINE)
_OBJ_FACE = re.compile(rb"^f[ \t]+([^\r\n#]*)", re.MULTILINE)
_OBJ_OTHER_INDEX = re.compile(rb"/\S*")


def read_solid(instances: Instances) -> Solid | None:
    """Read the models of a series, all of those that lie in the frame of reference of the first one.

    Returns:
        The surfaces; None where the documents were not read.

    Raises:
        PixelError: They hold no triangle.
    """
    parts: list[tuple[FloatArray, tuple[int, int, int]]] = []
    units: set[float | None] = set()
    notes: list[str] = []
    first = next(iter(instances.values()))
    frame, left_out = first.text("FrameOfReferenceUID"), 0
    for header in instances.values():
        data = header.binary("EncapsulatedDocument")
        if data is None or header.text("FrameOfReferenceUID") != frame:
            left_out += 1
            continue
        triangles, found = read_triangles(data, header.text("MIMETypeOfEncapsulatedDocument") or "")
        unit = _UNIT_MM.get(read_code(header, "MeasurementUnitsCodeSequence").value)
        units.add(unit)
        notes += found
        parts.append((triangles * np.float32(unit or 1.0), _read_color(header)))
    if not parts:
        return None
    if left_out:
        notes.append(f"{left_out} further model{' is' if left_out == 1 else 's are'} left out")
    return _join(parts, notes, in_mm=None not in units)


def read_triangles(data: bytes, mime_type: str) -> tuple[FloatArray, tuple[str, ...]]:
    """Read the triangles of a document.

    Args:
        data: The document. A byte that pads it to an even length does no harm.
        mime_type: MIME Type of Encapsulated Document (0042,0012).

    Returns:
        Corners, shape (triangles, 3, 3), without those that are not finite; and sentences about what was left out.

    Raises:
        PixelError: There is no triangle in it.
    """
    is_obj = mime_type.strip().lower() == "model/obj"
    read: Callable[[bytes], FloatArray] = _parse_obj if is_obj else _parse_ascii if _is_ascii(data) else _parse_binary
    triangles = read(data)
    finite = triangles[np.isfinite(triangles).all(axis=(1, 2)) & (np.abs(triangles) < 1e9).all(axis=(1, 2))]
    if not len(finite):
        raise PixelError(f"the {'OBJ' if is_obj else 'STL'} holds no triangle")
    notes = []
    claimed = _claim(data) if read is _parse_binary else len(triangles)
    if claimed > len(triangles):
        notes.append(f"the STL claims {claimed:,} triangles and holds {len(triangles):,}")
    if len(finite) < len(triangles):
        notes.append(f"{len(triangles) - len(finite):,} triangles without a position are left out")
    return finite, tuple(notes)


def _join(parts: list[tuple[FloatArray, tuple[int, int, int]]], notes: list[str], *, in_mm: bool) -> Solid:
    triangles = np.concatenate([each for each, _ in parts])
    colors = np.concatenate([np.tile(np.array(color, np.float32), (len(each), 1)) for each, color in parts])
    kept, chosen = thin_triangles(triangles)
    if len(kept) < len(triangles):
        notes.append(f"{len(triangles):,} triangles are drawn as {len(kept):,}")
    return Solid(
        triangles=kept, colors=colors[chosen], in_mm=in_mm, count=len(triangles), notes=tuple(dict.fromkeys(notes))
    )


def _read_color(header: Attributes) -> tuple[int, int, int]:
    lab = header.numbers("RecommendedDisplayCIELabValue")
    return convert_from_lab(lab) if len(lab) == 3 else _PLAIN_COLOR


def _claim(data: bytes) -> int:
    return int.from_bytes(data[_HEAD - 4 : _HEAD], "little")


def _is_ascii(data: bytes) -> bool:
    """Tell whether an STL is text. A binary one may begin with the word `solid` too, but its length gives it away."""
    if abs(len(data) - _HEAD - _FACET * _claim(data)) <= 1:
        return False
    return data[:512].lstrip()[:5].lower() == b"solid" and b"facet" in data[:4096].lower()


def _parse_binary(data: bytes) -> FloatArray:
    count = max(min(_claim(data), (len(data) - _HEAD) // _FACET), 0)
    facets = np.frombuffer(data, np.uint8, count * _FACET, min(_HEAD, len(data))).reshape(count, _FACET)
    return np.ascontiguousarray(facets[:, 12:48]).view("<f4").reshape(count, 3, 3).astype(np.float32)


def _parse_ascii(data: bytes) -> FloatArray:
    numbers = _parse_numbers(b" ".join(_VERTEX.findall(data)))
    return numbers[: len(numbers) // 9 * 9].reshape(-1, 3, 3)


def _parse_obj(data: bytes) -> FloatArray:
    """Parse the vertices and faces of an OBJ. Faces of more than three corners become fans of triangles."""
    vertices = _parse_numbers(b" ".join(_OBJ_VERTEX.findall(data)))
    vertices = vertices[: len(vertices) // 3 * 3].reshape(-1, 3)
    corners: list[tuple[bytes, bytes, bytes]] = []
    for face in _OBJ_FACE.findall(data):
        indices = _OBJ_OTHER_INDEX.sub(b"", face).split()
        corners += [(indices[0], indices[at], indices[at + 1]) for at in range(1, len(indices) - 1)]
    numbers = _parse_numbers(b" ".join(b" ".join(each) for each in corners))
    if len(numbers) != 3 * len(corners) or not len(vertices):
        raise PixelError("the OBJ has faces without numbers of vertices")
    chosen = numbers.reshape(-1, 3).astype(np.int64)
    chosen = np.where(chosen < 0, chosen + len(vertices), chosen - 1)  # negative ones count from the last
    return vertices[chosen[((chosen >= 0) & (chosen < len(vertices))).all(axis=1)]]


def _parse_numbers(text: bytes) -> FloatArray:
    """Parse numbers between blanks. A word among them makes all of it no number."""
    try:
        return np.array(text.split(), np.float64).astype(np.float32)
    except ValueError as error:
        raise PixelError("a coordinate of the model is no number") from error
