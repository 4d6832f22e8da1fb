"""Read grid images: the slices of a volume side by side in one frame, as Siemens (MOSAIC) and UIH (VFRAME) write them.

The standard does not describe them. Their private elements are read as the vendors' conformance statements and the
converters of the neuroimaging field read them, and found by their creator (PS3.5 7.8.1).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.model.series import RawElement, StoredArray

_SIEMENS_SLICES = ("SIEMENS MR HEADER", 0x0019, 0x0A)
"""NumberOfImagesInMosaic: creator, group and element."""

_SIEMENS_CSA = ("SIEMENS CSA HEADER", 0x0029, 0x10)
"""CSA Image Header Info."""

_UIH_SLICES = ("Image Private Header", 0x0065, 0x51)
"""MR VFrame Sequence."""

_MOST_SLICES = 1 << 16
"""Number of slices of the largest grid; an element that tells of more is damaged."""

_CSA_TAG_BYTES, _CSA_ITEM_BYTES, _CSA_MOST_TAGS = 84, 16, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The layout of a volume's slices in one frame, and their positions in the patient."""

    slices: int
    columns: int
    """Number of slices side by side; slices fill rows first."""

    rows: int
    origin: tuple[float, ...]
    """ImagePositionPatient of the first slice, in mm; empty where it is unknown."""

    step: tuple[float, ...]
    """Vector from each slice to the next, in mm; empty where it is unknown."""


def is_called_grid(kinds: RawElement | None) -> bool:
    """Tell from the bytes of Image Type (0008,0008) whether an instance may be a grid image, without decoding them."""
    return kinds is not None and any(name in (kinds.value or b"") for name in (b"MOSAIC", b"VFRAME"))


def describe_grid(attributes: Attributes) -> Grid | None:
    """Find out whether an instance is a grid image.

    Returns:
        The grid; None for any other image, and for a mosaic that does not tell how many slices it has, or tells of
        more than it has pixels for.
    """
    kinds = attributes.texts("ImageType")
    if attributes.integer("NumberOfFrames") not in (None, 1):
        return None
    grid = None
    if "VFRAME" in kinds:
        grid = _describe_uih(attributes)
    elif "MOSAIC" in kinds:
        grid = _describe_siemens(attributes)
    rows, columns = attributes.number("Rows") or math.inf, attributes.number("Columns") or math.inf
    return grid if grid and grid.rows <= rows and grid.columns <= columns else None


def crop_slice(values: StoredArray, grid: Grid, number: int) -> StoredArray:
    """Cut one slice out of a grid image.

    Args:
        values: The whole frame, shape (rows, columns).
        grid: How the slices lie in it.
        number: Slice, from 0.

    Returns:
        The slice, a view.
    """
    rows, columns = values.shape[0] // grid.rows, values.shape[1] // grid.columns
    top, left = number // grid.columns * rows, number % grid.columns * columns
    return values[top : top + rows, left : left + columns]


def _describe_uih(attributes: Attributes) -> Grid | None:
    positions = [
        item.numbers("ImagePositionPatient") for item in attributes.items(attributes.private_name(*_UIH_SLICES))
    ]
    if len(positions) < 2:
        return None
    columns = math.ceil(math.sqrt(len(positions)))
    known = all(len(position) == 3 and all(map(math.isfinite, position)) for position in positions)
    step = (np.array(positions[-1]) - positions[0]) / (len(positions) - 1) if known else np.array([])
    return Grid(
        slices=len(positions),
        columns=columns,
        rows=math.ceil(len(positions) / columns),
        origin=positions[0] if known else (),
        step=tuple(map(float, step)),
    )


def _describe_siemens(attributes: Attributes) -> Grid | None:
    header = attributes.binary(attributes.private_name(*_SIEMENS_CSA)) or b""
    csa = parse_csa(header, {"NumberOfImagesInMosaic", "SliceNormalVector"})
    told = attributes.integer(attributes.private_name(*_SIEMENS_SLICES))
    told = told or int(next(iter(csa.get("NumberOfImagesInMosaic", ())), 0))
    told = told if 0 < told <= _MOST_SLICES else 0
    side = math.ceil(math.sqrt(told)) if told else _side_of_matrix(attributes)
    if side < 2:
        return None
    origin, normal = _locate_siemens(attributes, side)
    spacing = attributes.number("SpacingBetweenSlices") or attributes.number("SliceThickness") or 0.0
    normal = csa.get("SliceNormalVector", ()) or normal
    step = tuple(spacing * component for component in normal) if len(normal) == 3 and spacing else ()
    return Grid(slices=told or side * side, columns=side, rows=side, origin=origin, step=step)


def _side_of_matrix(attributes: Attributes) -> int:
    """Divide Rows by the rows acquired (0018,1310): the number of slices in a row, also without private elements."""
    acquired = [number for number in attributes.numbers("AcquisitionMatrix") if number > 0]
    rows = attributes.number("Rows") or 0.0
    return int(rows // acquired[0]) if acquired and rows % acquired[0] == 0 else 0


def _locate_siemens(attributes: Attributes, side: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute the position of the first slice and the slice normal.

    ImagePositionPatient belongs to a single slice as large as the whole mosaic. The real slices lie in its middle.
    """
    position = np.array(attributes.numbers("ImagePositionPatient"))
    orientation = np.array(attributes.numbers("ImageOrientationPatient"))
    spacing = attributes.numbers("PixelSpacing")
    size = attributes.number("Columns"), attributes.number("Rows")
    if len(position) != 3 or len(orientation) != 6 or len(spacing) != 2 or None in size:
        return (), ()
    along_row, along_column = orientation[:3], orientation[3:]
    margin = (1 - 1 / side) / 2
    width, height = (size[0] or 0) * spacing[1], (size[1] or 0) * spacing[0]
    origin = position + margin * (along_row * width + along_column * height)
    return tuple(map(float, origin)), tuple(map(float, np.cross(along_row, along_column)))


def parse_csa(data: bytes, names: set[str]) -> dict[str, tuple[float, ...]]:
    """Read numbers from a Siemens CSA header.

    Args:
        data: Value of CSA Image Header Info (0029,1010), of the second version (`SV10`).
        names: The tags wanted.

    Returns:
        Tag name → its numbers; nothing for tags that are absent, and for headers of another version or cut off.
    """
    found: dict[str, tuple[float, ...]] = {}
    if data[:4] != b"SV10" or len(data) < 16:
        return found
    count = struct.unpack_from("<I", data, 8)[0]
    at = 16
    try:
        for _ in range(min(count, _CSA_MOST_TAGS)):
            name = data[at : at + 64].partition(b"\0")[0].decode("ascii", "replace")
            items = struct.unpack_from("<I", data, at + 76)[0]
            at += _CSA_TAG_BYTES
            texts: list[str] = []
            for _ in range(min(items, _CSA_MOST_TAGS)):
                length = struct.unpack_from("<I", data, at + 4)[0]
                at += _CSA_ITEM_BYTES
                texts.append(data[at : at + length].partition(b"\0")[0].decode("ascii", "replace").strip())
                at += (length + 3) // 4 * 4
            if name in names:
                numbers = tuple(float(text) for text in texts if text)
                found[name] = numbers if all(map(math.isfinite, numbers)) else ()
    except (struct.error, ValueError):
        return {}
    return found
