"""Pictures from their frames: read, decoded and composed, a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.dicom.pixels.profiles import convert_to_srgb
from dsp_batch.dicom.syntaxes import is_native
from dsp_batch.errors import DspBatchError, HeaderError, PixelError
from dsp_batch.index.parquet import SeriesIndex
from dsp_batch.index.series_index import SeriesView
from dsp_batch.kinds.kind import Picture
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.ranges import OutsideError, Piece, Reader, read_piece
from dsp_batch.model.series import FrameRef, ObjectInfo
from dsp_batch.render.choose import drawer_of
from dsp_batch.render.read import EncodedFrames, ReadingOptions, pixels_of, read_pictures
from dsp_batch.storage.store import Store

MAX_READ = 64 << 20
"""Bytes of frames, as they are once decoded, that are read at once: 128 frames of a CT, 6 of a mammogram."""


_COPIES = 4
"""Of the largest frame, while it is drawn: encoded, decoded, windowed, and what these steps need."""


_PIXEL_COUNTS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")


Drawn = StoredFrame | DspBatchError
"""A picture made from its frames, or why there is none."""

_Read = Mapping[int, EncodedFrames | DspBatchError]
"""Row of an instance → its frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where and how the frames of a series are read."""

    store: Store
    timeout: float | None = None
    """Seconds for reading; None for no limit."""

    decoders: int = 1
    """Threads that decode compressed frames; codecs release the GIL. One where every core has a process of its own."""

    max_frame_bytes: int = MAX_FRAME_BYTES
    """Bytes of a decoded frame that are accepted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Painting:
    """What is to be painted: some pictures of a series, in this order."""

    view: SeriesView
    source: Source
    pictures: Sequence[Picture] = ()
    overlays: bool = True
    """Read overlay planes too."""

    painted: Mapping[Picture, StoredFrame] = field(default_factory=dict)
    """Pictures that were painted already."""


def paint_pictures(painting: Painting) -> Iterator[Drawn]:
    """Read, decode and compose pictures one after the other.

    The objects of a group of pictures are read at once. A group is as large as memory allows, so that dozens of
    large frames take no more of it than a few.

    Returns:
        An iterator of the pictures, in their order; one that fails is an error in its place.

    Raises:
        StorageError: A frame could not be read, which the next one could not be either.
        PixelError: Nothing could be drawn at all.
    """
    first_error: DspBatchError | None = None
    has_drawn = False
    for group in split_pictures(painting):
        for picture, drawn in zip(group.pictures, paint_group(group), strict=True):
            if isinstance(drawn, StoredFrame):
                has_drawn = True
            elif drawn.reason in ("network", "timeout", "access-denied"):
                raise drawn
            elif first_error is None:
                first_error = _name_object(painting.view, picture, drawn)
            yield drawn
    if first_error is not None and not has_drawn:
        where = f"{painting.view.root}/{painting.view.series_uuid}"
        raise PixelError(f"no frame of {where} could be drawn; the first, in {first_error.message}", first_error.reason)


def split_pictures(painting: Painting) -> list[Painting]:
    """Split pictures into groups of at most `MAX_READ` bytes of frames; one that is larger is a group of its own."""
    groups: list[list[Picture]] = []
    left = -1
    for picture in painting.pictures:
        size = _count_bytes(painting.view, picture)
        if size > left:
            groups.append([])
            left = MAX_READ
        groups[-1].append(picture)
        left -= size
    return [replace(painting, pictures=group) for group in groups]


def is_in_color(view: SeriesView, picture: Picture) -> bool:
    """Whether a picture will be in color, and so have no window; False where its header is damaged."""
    try:
        return drawer_of(view, picture).in_color or pixels_of(view, picture.frames[0].instance).is_color
    except PixelError:
        return False


def _count_bytes(view: SeriesView, picture: Picture) -> int:
    """Bytes of the decoded frames of a picture; those of damaged instances are never read."""
    total = 0
    for ref in picture.frames:
        try:
            total += pixels_of(view, ref.instance).decoded_frame_bytes
        except PixelError:
            continue
    return total


def paint_group(group: Painting) -> Iterator[Drawn]:
    """Paint pictures that are small enough to be read at once; errors stand in the place of pictures."""
    if all(picture in group.painted for picture in group.pictures):
        yield from (group.painted[picture] for picture in group.pictures)
        return
    view = group.view
    encoded = _read_frames(group)
    first = next((each for each in encoded.values() if isinstance(each, EncodedFrames)), None)
    if group.source.decoders == 1 or first is None or is_native(first.pixels.transfer_syntax_uid):
        for picture in group.pictures:
            yield _compose(view, picture, encoded)
        return
    with ThreadPoolExecutor(group.source.decoders, thread_name_prefix="dsp-batch-decode") as pool:
        yield from pool.map(lambda picture: _compose(view, picture, encoded), group.pictures)


def _read_frames(group: Painting) -> _Read:
    """Read the frames of all pictures, all objects at once."""
    view = group.view
    wanted: dict[int, list[int]] = {}
    for ref in (ref for picture in group.pictures for ref in picture.frames):
        wanted.setdefault(ref.instance, []).append(ref.frame)
    names, sizes = view.values("FileName"), view.values("ObjectSize")
    infos = {row: ObjectInfo(name=names[row], size=sizes[row]) for row in wanted}
    options = ReadingOptions(overlays=group.overlays, max_frame_bytes=group.source.max_frame_bytes)
    readers = {infos[row]: partial(read_pictures, view, row, frames, options) for row, frames in wanted.items()}
    found = _read_bodies(readers, view.bodies)
    missing = {info: read() for info, read in readers.items() if info.name not in found}
    found.update(group.source.store.read(view.series_uuid, missing, timeout=group.source.timeout))
    return {row: found[info.name] for row, info in infos.items()}


def _read_bodies(
    readers: Mapping[ObjectInfo, Callable[[], Reader[EncodedFrames]]], bodies: Mapping[str, Piece]
) -> dict[str, EncodedFrames | DspBatchError]:
    """Read from the objects that are in memory, as far as they are."""
    found: dict[str, EncodedFrames | DspBatchError] = {}
    for info, read in readers.items():
        piece = bodies.get(info.name)
        if piece is not None:
            try:
                found[info.name] = read_piece(read(), piece, info.size or len(piece.data))
            except DspBatchError as error:
                found[info.name] = error
            except OutsideError:
                continue
    return found


def _compose(view: SeriesView, picture: Picture, encoded: _Read) -> Drawn:
    """Make a picture from those of its frames that can be decoded."""
    frames, error = {}, None
    for ref in picture.frames:
        of_object = encoded[ref.instance]
        frame = of_object.decode(ref.frame) if isinstance(of_object, EncodedFrames) else of_object
        if isinstance(frame, StoredFrame):
            frames[ref] = frame
        else:
            error = error or _locate(view, ref, frame)
    if error is not None and not frames:
        return error
    first = picture.frames[0].instance
    try:
        drawn = drawer_of(view, picture).compose(picture, view.attributes(first), frames)
    except PixelError as failure:
        return _locate(view, picture.frames[0], failure)
    of_first = encoded[first]
    profile = of_first.profile if isinstance(of_first, EncodedFrames) else None
    return replace(drawn, values=convert_to_srgb(drawn.values, profile)) if profile and drawn.is_color else drawn


def _locate(view: SeriesView, ref: FrameRef, error: DspBatchError) -> DspBatchError:
    """Say of an error of pixels where it lies: object, frame and transfer syntax."""
    if not isinstance(error, PixelError | HeaderError):
        return error
    keys = ("FileName", "TransferSyntaxUID", "NumberOfFrames")
    name, syntax, count = (view.values(key)[ref.instance] for key in keys)
    frame = f", frame {ref.frame + 1}" if (count or 1) > 1 and not error.message.startswith("frame ") else ""
    encoded = f" ({syntax})" if syntax and syntax not in error.message else ""
    return type(error)(f"{name}{frame}{encoded}: {error.message}", error.reason)


def _name_object(view: SeriesView, picture: Picture, error: DspBatchError) -> DspBatchError:
    name = view.values("FileName")[picture.frames[0].instance]
    return error if name in error.message else type(error)(f"{name}: {error.message}", error.reason)


def count_drawing_bytes(index: SeriesIndex, tiles: int) -> int:
    """Bytes that drawing a series takes at most, as its index tells: a group of its frames, and copies of one."""
    columns: list[Iterable[Any]] = [index.values(name) if index.has(name) else [None] for name in _PIXEL_COUNTS]
    rows, width, samples, bits = (max((n for n in column if isinstance(n, int)), default=1) for column in columns)
    frame = rows * width * samples * -(-bits // 8)
    return 2 * min(MAX_READ, tiles * frame) + _COPIES * frame
