"""Fetch the headers of a series: list its objects and read the header of each."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from dsp_batch.cache import Cache, read_index
from dsp_batch.dicom.headers.checks import claimed_frames
from dsp_batch.dicom.headers.read import WHOLE_OBJECT, HeaderHint, read_header
from dsp_batch.dicom.syntaxes import DEFLATED
from dsp_batch.errors import ArchivedError, DspBatchError, HeaderError, StorageError, TooDearError, out_of_memory
from dsp_batch.index.elements import most_frames
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.registry import identify, may_be_drawn, sop_class_of, without_pixels
from dsp_batch.model.object_names import is_object_name
from dsp_batch.model.ranges import Buffer, ByteRange, Reader, read_bytes
from dsp_batch.model.series import InstanceHeader, ObjectInfo, SeriesHeaders, SeriesRef, digest_objects
from dsp_batch.options import IndexOptions
from dsp_batch.storage.public_buckets import PUBLIC_BUCKETS, is_idc_root
from dsp_batch.storage.store import Store

_log = logging.getLogger(__name__)

_ELEMENT_BYTES = 150
"""Bytes of memory that each element of a header takes besides its value."""

_FRAME_BYTES = 500
"""Bytes of memory that each frame takes while the index is built: a million took 0.5 GB."""

_UNFOLDED = 40
"""Bytes of memory for each byte of a header while it becomes a row of an index, because nested sequences become Python
values. The functional groups of 5,000 frames took 35."""


SMALL_OBJECT = 1 << 20
"""Bytes of the largest object that may be read whole instead of in two requests."""

DRAWN_FRAMES = 36
"""Number of frames that a preview draws unless asked otherwise."""

KEPT_BYTES_ALONE = 32 << 20
KEPT_BYTES_OF_MANY = 16 << 20
"""Bytes of whole objects that a series may keep in memory between its headers and its preview: one that is drawn alone,
and each of the many that a worker has at once."""

LOOK_FIRST = 50
"""Number of objects above which the first header is read alone: series of 92,000 objects without pixels exist."""

_OF_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files in which Linux tells a container how much memory it has, of version 2 and 1 of control groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The limits of reading the headers of a series."""

    seconds: float | None = None
    """Seconds that reading may take; None for no limit."""

    kept_bytes: int | None = None
    """Bytes of whole small objects to keep for drawing, so that each is read in one request; None if nothing will be
    drawn."""

    needs_pixels: bool = False
    """True to give up a series without pixels, a large one after its first header."""

    memory: int | None = None
    """Bytes of memory that the headers may take until an index is made of them; None for no limit."""

    most_read: int | None = None
    """Bytes that may be read; None for no limit."""


def find_index(ref: SeriesRef, store: Store, cache: Cache, *, refresh: bool = False) -> SeriesIndex | None:
    """Find the index of a series in the cache, if it is still that of its objects.

    `read_index` of the cache judges the file: whether it can be read, is complete, and is of this series, root and
    folder. This function judges the objects: it compares those that are listed now with those that the index was built
    from, by the digest of their names, sizes and times.

    Args:
        ref: The series.
        store: The store of its root.
        cache: Where indices are kept.
        refresh: True to compare the objects of remote roots too. Those of local roots, and those that a scan has found,
            are always compared.

    Returns:
        The index; None where there is none, where the file does not serve, or where the objects have changed. A change
        is logged as a warning.
    """
    index = read_index(cache, ref.series_uuid, ref.root, ref.folder)
    built_from = index.objects.get("digest") if index else None
    if built_from is None or not (refresh or store.is_local or ref.objects is not None):
        return index
    objects = list_series_objects(ref, store)
    if not objects or digest_objects(objects) == built_from:  # of a folder that is gone, the index is all that is left
        return index
    _log.warning("%s has changed since its index was built: the index is renewed", ref.url)
    return None


def fetch_headers(
    ref: SeriesRef, store: Store, options: IndexOptions, allowance: Allowance | None = None
) -> SeriesHeaders:
    """List a series and read the header of each of its objects, concurrently.

    Args:
        ref: The series.
        store: The store of its root.
        options: The number of objects, and whether large binary values are read.
        allowance: The limits; None for none, and for no drawing.

    Raises:
        StorageError: The series cannot be listed, or one of its objects cannot be read, or not in time.
        SeriesError: The series needs pixels and has none, or its headers take more memory than they may.
    """
    allowance = allowance or Allowance()
    begin, keep = time.monotonic(), allowance.kept_bytes
    objects = list_series_objects(ref, store, allowance.seconds)
    if not objects:
        raise _no_series(ref)
    rejected: dict[str, DspBatchError] = {
        info.name: HeaderError("its name leads out of the folder", "not-dicom")
        for info in objects
        if not is_object_name(info.name)
    }
    chosen = tuple(info for info in objects[: options.limit] if info.name not in rejected)
    headers: list[InstanceHeader] = []
    bodies: dict[str, Buffer] = {}
    wanted = bodies if keep is not None and _are_small(chosen, keep) else None
    look_first = allowance.needs_pixels and len(chosen) > LOOK_FIRST
    meter = HeaderMeter(url=ref.url, count=len(chosen), limit=allowance.memory, most_read=allowance.most_read)
    bulk = None if options.full else frozenset[int]()
    read = partial(read_header, bulk=bulk, hint=HeaderHint())
    for part in (chosen[:1], chosen[1:]) if look_first else (chosen,):
        readers = {info: meter.weigh(_keep_whole(read(info.name, info.size), info, wanted)) for info in part}
        left = None if allowance.seconds is None else max(0.0, begin + allowance.seconds - time.monotonic())
        _sort_headers(store.read(ref.objects_folder, readers, timeout=left), headers, rejected)
        if allowance.needs_pixels and headers and not any(map(may_be_drawn, headers)):
            raise without_pixels(ref.url, map(sop_class_of, headers), identify(headers[0]))
    for name, error in rejected.items():
        _log.debug("%s/%s is no instance: %s", ref.url, name, error.message)
    return SeriesHeaders(
        ref=ref,
        headers=tuple(headers),
        listed=len(objects),
        rejected=rejected,
        partial=options.limit is not None and options.limit < len(objects),
        bodies=bodies,
        digest=digest_objects(objects),
    )


def list_series_objects(ref: SeriesRef, store: Store, timeout: float | None = None) -> tuple[ObjectInfo, ...]:
    """List the objects of a series, unless a scan has found them already.

    Args:
        ref: The series.
        store: The store of its root.
        timeout: Seconds for the listing; None for no limit.
    """
    return store.list_objects(ref.series_uuid, timeout=timeout) if ref.objects is None else ref.objects


def _no_series(ref: SeriesRef) -> StorageError:
    """Make the error of a folder without objects. IDC keeps one series in thirty in another bucket than the default."""
    others = ", ".join(f"s3://{bucket}" for bucket in sorted(PUBLIC_BUCKETS) if ref.root != f"s3://{bucket}")
    hint = f"; IDC's other buckets are {others}" if is_idc_root(ref.root) else ""
    return StorageError(f"no series {ref.series_uuid} below {ref.root}: check the name and --root{hint}", "not-found")


def _are_small(objects: tuple[ObjectInfo, ...], keep: int) -> bool:
    """Tell whether the objects are better read whole, header and pixels in one request.

    Objects of up to 32 KB are read whole for their headers anyway. Objects of up to 1 MB are, if there are no more of
    them than tiles: a preview would fetch the frames of all of them in a second pass.
    """
    sizes = [info.size if info.size is not None else SMALL_OBJECT + 1 for info in objects]
    few = len(sizes) <= DRAWN_FRAMES and all(size <= SMALL_OBJECT for size in sizes)
    return sum(sizes) <= keep and (few or all(size <= WHOLE_OBJECT for size in sizes))


def _keep_whole(
    reader: Reader[InstanceHeader], info: ObjectInfo, bodies: dict[str, Buffer] | None
) -> Reader[InstanceHeader]:
    """Read a header. With `bodies`, read the whole object and keep it there."""
    if bodies is None:
        return (yield from reader)
    reply = yield (ByteRange(0, info.size or 0),)
    if reply.size > (info.size or 0):  # the listed size was that of a coded object
        reply = yield (ByteRange(0, reply.size),)
    bodies[info.name] = reply.parts[0]
    return read_bytes(reader, reply.parts[0])


def _sort_headers(
    found: dict[str, InstanceHeader | DspBatchError], headers: list[InstanceHeader], rejected: dict[str, DspBatchError]
) -> None:
    """Separate instances from objects that are none. An object that could not be read fails the series."""
    for name, value in found.items():
        if isinstance(value, InstanceHeader):
            headers.append(value)
        elif isinstance(value, TooDearError):
            raise value
        elif value.reason in ("not-dicom", "bad-header", "too-large") or isinstance(value, ArchivedError):
            rejected[name] = value
        else:
            raise value


def _count_frames(header: InstanceHeader) -> int:
    return min(claimed_frames(header.elements), most_frames(header.size, header.transfer_syntax_uid))


@cache
def find_machine_memory() -> int | None:
    """Find the bytes of memory of this machine, or of the container that the process is in; None where nobody tells."""
    found = [size for path in _OF_CONTAINER if (size := _read_size(Path(path))) is not None]
    if hasattr(os, "sysconf"):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)


def _read_size(path: Path) -> int | None:
    """Read a limit; None where there is no such file, or it says `max`."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


@dataclass(slots=True, kw_only=True)
class HeaderMeter:
    """Measures the memory of the headers of a series as they arrive, and stops if they take more than they may."""

    url: str
    """URL of the series, for messages."""

    count: int
    """Number of its objects."""

    limit: int | None = None
    """Bytes of memory that the headers may take; None for no limit."""

    most_read: int | None = None
    """Bytes that may be read; None for no limit."""

    _read: int = 0
    _held: int = 0
    _largest: int = 0

    def weigh(self, reader: Reader[InstanceHeader]) -> Reader[InstanceHeader]:
        """Read a header, and add the memory that it takes.

        Raises:
            SeriesError: The headers take too much; those after it are no longer read.
            TooDearError: More bytes were read than may be.
        """
        self._check()
        read = 0
        try:
            ranges = next(reader)
            while True:
                reply = yield ranges
                arrived = sum(map(len, reply.parts))
                read += arrived
                self._read += arrived
                ranges = reader.send(reply)
        except StopIteration as stop:
            header: InstanceHeader = stop.value
        if header.transfer_syntax_uid == DEFLATED:
            read = max(read, sum(len(element.value or b"") for element in header.elements.values()))
        self._held += read + _ELEMENT_BYTES * len(header.elements) + _FRAME_BYTES * _count_frames(header)
        pixels = header.pixel_data_offset or header.fragments_offset or read
        self._largest = max(self._largest, min(read, pixels))
        self._check()
        return header

    def _check(self) -> None:
        if self.most_read is not None and self._read > self.most_read:
            message = (
                f"the headers of {self.url} have more than the {self.most_read >> 20} MiB that may be read of them"
            )
            raise TooDearError(message)
        needed = self._held + _UNFOLDED * self._largest
        if self.limit is not None and needed > self.limit:
            what = (
                f"the headers of the {self.count} objects of {self.url} take" if self.count > 1 else f"{self.url} takes"
            )
            raise out_of_memory(what, needed, self.limit)
