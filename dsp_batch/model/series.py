"""The nouns that cross a stage. Frozen values, small enough to travel between processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.errors import DspBatchError
from dsp_batch.model.places import SeriesPlace
from dsp_batch.model.ranges import Buffer

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.signedinteger[Any]]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
StoredArray = npt.NDArray[Any]
"""Stored values of one frame, (rows, columns) or (rows, columns, 3)."""

AxisName = Literal["X", "Y", "Z", "I"]
"""Patient axis nearest to the slice normal: X sagittal, Y coronal, Z axial; I when there is no position."""


NO_COLUMNS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """One object of a series as listed, before anything of it is read."""

    name: str
    """Object name below the folder that was listed, with `/` between its parts."""

    size: int | None
    """Number of bytes; None where the listing does not tell (some HTTP servers)."""

    modified: float | None = field(default=None, compare=False, repr=False)
    """Seconds since 1970 at which it was written; None where the listing does not tell."""


class SeriesRef(NamedTuple):
    """One series to work on: a folder of objects below a root. A tuple: manifests make a million of them."""

    root: str
    """URL or absolute path that names of folders and objects are counted from, without trailing slash:
    `s3://idc-open-data`."""

    series_uuid: str
    """Key of the series: IDC's storage UUID (`crdc_series_uuid`), which is also the name of its folder. A series that a
    scan has found has a UUID made from its SeriesInstanceUID."""

    endpoint_url: str | None = None
    """S3-compatible server that a manifest names for this series; None for the default."""

    columns: Mapping[str, Any] = NO_COLUMNS
    """Other columns of the manifest, carried into the result row."""

    line: int | None = None
    """Number of its line in the manifest, from 1."""

    folder: str | None = None
    """Folder below the root that holds all objects of a series which a scan found; empty for the root itself. None
    where `series_uuid` names the folder."""

    objects: tuple[ObjectInfo, ...] | None = None
    """The objects of a series that a scan found, with names below the root. None where they are looked up."""

    scan: str | None = None
    """Where the cache keeps the objects of a series that a scan found for a batch: the group and the parts."""

    digest: str | None = None
    """Digest of these objects; see `digest_objects`."""

    neighbours: tuple[SeriesPlace, ...] | None = None
    """Places of series that this one may speak of: of its study, or of the scan that found it. None where nobody has
    looked."""

    @property
    def url(self) -> str:
        """Where the objects of the series are."""
        return locate_series(self.root, self.series_uuid, self.folder)

    @property
    def objects_folder(self) -> str:
        """Folder below the root that the names of the objects are counted from."""
        return self.series_uuid if self.folder is None else ""


def locate_series(root: str, series_uuid: str, folder: str | None) -> str:
    """Return the URL or path of the folder of a series; see the fields of `SeriesRef`."""
    return f"{root}/{series_uuid if folder is None else folder}".removesuffix("/")


def digest_objects(objects: Iterable[ObjectInfo]) -> str:
    """Digest names, sizes and times of the objects of a series: it is another one when any of them has changed.

    The digests of parts of a series add up, in any order.

    Returns:
        The number of objects and 32 hex digits.
    """
    texts = [f"{each.name}\0{each.size}\0{each.modified}".encode("utf-8", "surrogatepass") for each in objects]
    return format_digest(len(texts), sum(int.from_bytes(blake2b(text, digest_size=16).digest()) for text in texts))


def format_digest(count: int, total: int) -> str:
    """Write the digest of objects: their number, and the sum of what each comes to."""
    return f"{count}:{total % (1 << 128):032x}"


class RawElement(NamedTuple):
    """One element of a header as it is encoded in the object (PS3.5 7.1)."""

    vr: str
    """Value representation, looked up where the transfer syntax leaves it implicit."""

    value: bytes | None
    """Value field; None where it was left in the object because it is a large binary value."""

    length: int
    """Number of bytes of the value field."""

    @property
    def text(self) -> str:
        """The value of a UI, CS or IS as text, without what pads it; empty where it was not read."""
        return (self.value or b"").decode("ascii", "replace").strip(" \0")


class NestedValue(NamedTuple):
    """A large binary value within the items of a sequence, which was left in the object."""

    item: int
    """Number, from 0, of the item of the outermost sequence that it is in."""

    tag: int
    vr: str
    start: int
    """First byte of the value."""

    length: int
    """Number of bytes of the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHeader:
    """The header (dataset without Pixel Data) of one instance, undecoded."""

    name: str
    """Object name below the series prefix."""

    size: int
    """Bytes of the whole object."""

    transfer_syntax_uid: str
    """Transfer Syntax UID (0002,0010); assumed from the encoding where the file meta information is absent."""

    elements: Mapping[int, RawElement]
    """Elements by tag, in the order of the object, with file meta information and without group lengths."""

    implicit_vr: bool
    """True where nested sequences are encoded with implicit VR."""

    big_endian: bool
    """True where numbers in binary values are big endian."""

    pixel_data_offset: int | None
    """First byte of the value of native Pixel Data; None where there is none, or it is encapsulated or deflated."""

    pixel_data_length: int | None
    """Bytes of native Pixel Data."""

    fragments_offset: int | None = None
    """First byte of the Basic Offset Table item of encapsulated Pixel Data (PS3.5 A.4)."""

    nested: tuple[NestedValue, ...] = ()
    """Values within sequences that were left in the object."""

    notes: tuple[str, ...] = ()
    """Sentences that say where the bytes were read otherwise than the header declares them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeaders:
    """All headers of a series, from which its index is built."""

    ref: SeriesRef
    headers: tuple[InstanceHeader, ...]
    listed: int
    """Number of objects found under the series prefix."""

    rejected: Mapping[str, DspBatchError]
    """The errors of objects that are no instances, by object name."""

    partial: bool = False
    """True where only some of the objects were read (`--limit`)."""

    bodies: Mapping[str, Buffer] = field(default_factory=dict)
    """Whole objects by name, as far as they were small enough to be read at once."""

    digest: str | None = None
    """Digest of the names, sizes and times of all objects found under the series prefix; see `digest_objects`."""


class FrameRef(NamedTuple):
    """One frame of a series."""

    instance: int
    """Row of the series index."""

    frame: int
    """Frame of that instance, from 0."""

    series: int = 0
    """0 for the series that is drawn, k for the k-th of those that it draws upon."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameTable:
    """Position, orientation and time of each frame of a series, to compute its order from. One entry for each frame."""

    instance: IntArray
    """Row of the instance, shape (n,)."""

    frame: IntArray
    """Frame of that instance, from 0, shape (n,)."""

    position: FloatArray
    """ImagePositionPatient in mm, shape (n, 3), NaN where absent."""

    orientation: FloatArray
    """ImageOrientationPatient, row cosines then column cosines, shape (n, 6), NaN where absent."""

    slice_location: FloatArray
    """SliceLocation in mm, shape (n,), NaN where absent."""

    instance_number: FloatArray
    """InstanceNumber, shape (n,), NaN where absent."""

    times: FloatArray
    """Seconds or indices, shape (n, 6), NaN where absent: TemporalPositionIndex, TriggerTime, AcquisitionDateTime,
    AcquisitionTime, ContentTime, InstanceCreationTime."""

    sop_instance_uid: tuple[str, ...]
    """SOPInstanceUID of each frame's instance."""

    name: tuple[str, ...]
    """Object name of each frame's instance, which distinguishes instances that share a SOPInstanceUID."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameOrder:
    """The display order of a frame table. Entry i of each array is about the i-th frame displayed."""

    permutation: IntArray
    """Entry of the frame table at each rank, shape (n,)."""

    stack: IntArray
    """Stack of each frame, shape (n,), counted from 0 in the order of display."""

    sort_key: FloatArray
    """Key that rises along the display order of a stack: mm along its normal or axis; InstanceNumber on axis I."""

    axis: tuple[AxisName, ...]
    """Primary axis of each frame's stack."""

    primary_position: FloatArray
    """Coordinate on the primary axis in mm (LPS); the InstanceNumber on axis I; NaN where unknown."""

    time: FloatArray
    """The first of the table's times that every frame of stack 0 has and that varies, else NaN, shape (n,)."""

    has_main: bool = True
    """Stack 0 is the main stack: it holds more than half of the frames, and positions and ranges are along it. Without
    a main stack they are along all frames, by index."""

    @property
    def n_addressed(self) -> int:
        """Frames that positions and ranges are along: the first ones displayed."""
        return int(np.count_nonzero(self.stack == 0)) if self.has_main else len(self.stack)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The record of an object that was written once under its final key."""

    url: str
    size: int
