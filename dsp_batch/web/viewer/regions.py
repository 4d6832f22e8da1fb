"""Rectangular regions of frames: read from a CSV, edited in memory, and written as a CSV."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import posixpath
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsp_batch.errors import OptionsError

_log = logging.getLogger(__name__)

PATH, BOXES = "anon_dicom_path", "ROI_coords"
COUNT, FRAMES, INSTANCE = "num_ROI", "ROI_frames", "sop_instance_uid"
_REQUIRED = (PATH, BOXES)
COLUMNS = (PATH, COUNT, BOXES, FRAMES, INSTANCE)
"""Columns of the CSV, in the order in which they are written."""

MOST_BOXES = 1000
"""Boxes of one file, at most."""

_LONGEST_CELL = 16 << 20
"""Characters of one cell, at most: a thousand boxes with all the frames that each holds for."""

_UID = re.compile(r"[0-9.]{1,64}")

Box = tuple[float, float, float, float]
"""ymin, xmin, ymax, xmax in pixels of the frame, counted from its upper left corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """The size of what boxes lie in."""

    rows: int
    columns: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRegions:
    """The regions of one file."""

    boxes: tuple[Box, ...] = ()
    frames: tuple[tuple[int, ...], ...] = ()
    """Frames that each box holds for, from 0; empty for all."""

    def describe(self) -> dict[str, Any]:
        """Describe them for the API."""
        return {
            "num_roi": len(self.boxes),
            "roi_coords": [list(box) for box in self.boxes],
            "roi_frames": [list(each) for each in self.frames],
        }

    def join(self, others: FileRegions) -> FileRegions:
        """Return these regions and others."""
        return FileRegions(boxes=self.boxes + others.boxes, frames=self.frames + others.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """One row of the CSV, as it is written there."""

    where: str
    """File and line, for messages."""

    path: str
    instance: str
    cells: Mapping[str, Any]
    """The values of its JSON cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFile:
    """A file of the viewer that regions may be of."""

    number: int
    path: str
    """Path or URL, to match with the CSV."""

    shown_path: str
    """Path that is written where the CSV has none: a pseudonym where patients are masked."""

    instance: str
    """SOP Instance UID (0008,0018)."""

    size: ImageSize | None
    """None where it has no pixels."""


def check_regions(value: Mapping[str, Any], size: ImageSize) -> FileRegions:
    """Check regions that a row or a request gives, and bring them into their usual form.

    Args:
        value: `roi_coords`, and where they are known `num_roi` and `roi_frames`, in any letter case.
        size: The size of the image, which boxes are clipped to.

    Raises:
        OptionsError: Something of them is wrong; nothing is taken then.
    """
    given = {str(name).lower(): each for name, each in value.items()}
    boxes, count, frames = given.get("roi_coords"), given.get("num_roi"), given.get("roi_frames")
    if not isinstance(boxes, list) or len(boxes) > MOST_BOXES:
        raise OptionsError(f"ROI_coords must be a list of at most {MOST_BOXES} boxes [ymin, xmin, ymax, xmax]")
    if count is not None and (isinstance(count, bool) or count != len(boxes)):
        raise OptionsError(f"num_ROI is {count} and ROI_coords has {len(boxes)} boxes")
    frames = [[]] * len(boxes) if frames is None or frames == [] else frames
    if not isinstance(frames, list) or len(frames) != len(boxes):
        raise OptionsError("ROI_frames must have a list of frames for each box")
    return FileRegions(
        boxes=tuple(_clip(box, size) for box in boxes),
        frames=tuple(_check_frames(each, size) for each in frames),
    )


def _clip(box: Any, size: ImageSize) -> Box:
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise OptionsError("a box must be four numbers [ymin, xmin, ymax, xmax]")
    top, left, bottom, right = box
    clipped = max(top, 0), max(left, 0), min(bottom, size.rows), min(right, size.columns)
    if top >= bottom or left >= right:
        raise OptionsError(f"the box {box} is empty: it must be [ymin, xmin, ymax, xmax]")
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        raise OptionsError(f"the box {box} lies outside of the image of {size.rows} rows and {size.columns} columns")
    top, left, bottom, right = (int(each) if each == int(each) else each for each in clipped)
    return top, left, bottom, right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_frames(frames: Any, size: ImageSize) -> tuple[int, ...]:
    if not isinstance(frames, list) or not all(isinstance(each, int) and not isinstance(each, bool) for each in frames):
        raise OptionsError("ROI_frames must have lists of whole numbers")
    if any(not 0 <= each < size.frames for each in frames):
        raise OptionsError(f"ROI_frames names a frame that is not there: there are {size.frames}, from 0")
    return tuple(sorted(set(frames)))


def read_rows(path: str) -> list[RegionRow]:
    """Read the rows of a CSV of regions. A bad row is passed over with one warning.

    Raises:
        OptionsError: It cannot be read, or its header lacks a column.
    """
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            names = _check_header(path, next(reader, []))
            return [*_parse_rows(path, reader, names)]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OptionsError(f"the regions {path} cannot be read: {reason}") from error
    except csv.Error as error:
        raise OptionsError(f"the regions {path} cannot be read: {error}") from error


def _check_header(path: str, header: Sequence[str]) -> dict[str, int]:
    names = {name.strip(): column for column, name in enumerate(header)}
    for name in _REQUIRED:
        if name not in names:
            raise OptionsError(f"{path}:1: there is no column {name}: the header must have {', '.join(_REQUIRED)}")
    if len(names) != len(header):
        raise OptionsError(f"{path}:1: two columns have the same name")
    return names


def _parse_rows(path: str, reader: Any, names: Mapping[str, int]) -> Iterator[RegionRow]:
    while True:
        line = reader.line_num + 1
        row = next(reader, None)
        if row is None:
            return
        if not row:
            continue
        cells = {name: row[column].strip() if column < len(row) else "" for name, column in names.items()}
        try:
            yield _parse_row(f"{path}:{line}", cells)
        except OptionsError as error:
            _log.warning("%s:%d: the row is passed over: %s", path, line, error.message)


def _parse_row(where: str, cells: Mapping[str, str]) -> RegionRow:
    values = {name: _parse_cell(name, cells[name]) for name in (BOXES, COUNT, FRAMES) if cells.get(name)}
    if BOXES not in values:
        raise OptionsError(f"{BOXES} is empty")
    instance = cells.get(INSTANCE, "")
    if not cells[PATH] and not instance:
        raise OptionsError(f"{PATH} is empty")
    # What can be checked without the image is checked now, in an image that holds every box and frame.
    check_regions(values, ImageSize(rows=1 << 32, columns=1 << 32, frames=1 << 32))
    return RegionRow(where=where, path=cells[PATH], instance=instance, cells=values)


def _parse_cell(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise OptionsError(f"{name} is no JSON") from None


@dataclass(slots=True, kw_only=True)
class RegionStore:
    """The regions of all files. Those of the CSV join their files as these are found."""

    folders: tuple[str, ...] = ()
    """Folders that the paths of the CSV may be counted from."""

    _rows_by_path: dict[str, list[RegionRow]] = field(default_factory=dict)
    _rows_by_instance: dict[str, list[RegionRow]] = field(default_factory=dict)
    _files: dict[int, tuple[RegionFile, str]] = field(default_factory=dict)
    _regions: dict[int, FileRegions] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_rows(self, rows: Iterable[RegionRow]) -> None:
        """Take in the rows of a CSV."""
        for row in rows:
            if row.instance:
                self._rows_by_instance.setdefault(row.instance, []).append(row)
                continue
            for path in {normalise_path(row.path, folder) for folder in (os.getcwd(), *self.folders)}:  # noqa: PTH109  # a text
                self._rows_by_path.setdefault(path, []).append(row)

    def add_file(self, file: RegionFile) -> None:
        """Give a file that was found the regions that the CSV has for it."""
        rows = [
            *self._rows_by_instance.get(file.instance, ()),
            *self._rows_by_path.get(normalise_path(file.path, ""), ()),
        ]
        found = FileRegions()
        for row in rows:
            try:
                found = found.join(_check_file(row.cells, file))
            except OptionsError as error:
                _log.warning("%s: the row is passed over: %s", row.where, error.message)
        with self._lock:
            if file.number in self._files:
                return
            self._files[file.number] = (
                file,
                rows[0].path if rows and rows[0].path and file.path == file.shown_path else file.shown_path,
            )
            if found.boxes:
                self._regions[file.number] = found

    def find(self, number: int) -> FileRegions:
        """Find the regions of a file."""
        return self._regions.get(number, FileRegions())

    def replace(self, number: int, value: Mapping[str, Any]) -> FileRegions:
        """Replace the regions of a file by those that a request gives.

        Raises:
            OptionsError: Something of them is wrong; nothing is changed then.
        """
        regions = _check_file(value, self._files[number][0])
        with self._lock:
            self._regions[number] = regions
        return regions

    def export(self) -> str:
        """Write the CSV of all files that have regions, in the order of their numbers."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        with self._lock:
            for number in sorted(self._regions):
                regions, (file, path) = self._regions[number], self._files[number]
                if regions.boxes:
                    told = regions.describe()
                    boxes, frames = (json.dumps(told[name]) for name in ("roi_coords", "roi_frames"))
                    instance = file.instance if _UID.fullmatch(file.instance) else ""
                    writer.writerow([path, len(regions.boxes), boxes, frames, instance])
        return text.getvalue()


def _check_file(value: Mapping[str, Any], file: RegionFile) -> FileRegions:
    if file.size is None:
        raise OptionsError("the file has no pixels, and so no regions")
    return check_regions(value, file.size)


def normalise_path(path: str, folder: str) -> str:
    """Bring a path or URL into the form in which two that mean the same are equal.

    Args:
        path: A path with slashes of any system, or a URL.
        folder: Folder that a relative path is counted from.
    """
    scheme, separator, rest = path.partition("://")
    if separator and scheme.lower() != "file":
        return f"{scheme.lower()}://{posixpath.normpath(rest)}"
    plain = (rest if separator else path).replace("\\", "/")
    return posixpath.normpath(posixpath.join(folder.replace("\\", "/"), plain))
