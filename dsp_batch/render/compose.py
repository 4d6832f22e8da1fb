"""Compose pictures: read and decode their frames, a bounded number of bytes at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.dicom.pixels.profiles import convert_to_srgb
from dsp_batch.dicom.syntaxes import is_native
from dsp_batch.errors import DspBatchError, HeaderError, PixelError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.kind import Kind, Picture
from dsp_batch.kinds.registry import find_kind
from dsp_batch.model.deadline import check_time
from dsp_batch.model.frame import ContextState, StoredFrame
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.ranges import Buffer, Reader, read_bytes
from dsp_batch.model.series import FrameRef, ObjectInfo
from dsp_batch.references.load import Reference
from dsp_batch.render.read import EncodedFrames, ReadingOptions, pixels_of, read_pictures
from dsp_batch.storage.store import Store

MAX_READ = 64 << 20
"""Bytes of decoded frames that are read at once: 128 frames of a CT, 6 of a mammogram."""

_COPIES = 4
"""Number of copies of the largest frame in memory while it is drawn: encoded, decoded, windowed, and one to work on."""

_PIXEL_COUNTS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")

Composed = StoredFrame | DspBatchError
"""A picture made from its frames, or the error that says why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSource:
    """The source of the frames of a series, and how to read them."""

    store: Store
    references: tuple[Reference, ...] = ()
    """The series that it draws upon, as far as they were found."""

    missing: ContextState | None = None
    """Why the image that the series speaks of is not drawn, unless it is; None where it needs none."""

    timeout: float | None = None
    """Seconds for reading; None for no limit."""

    decoders: int = 1
    """Number of threads that decode compressed frames; codecs release the GIL. One where every core has a process."""

    max_frame_bytes: int = MAX_FRAME_BYTES
    """Bytes of the largest decoded frame that is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureSet:
    """Some pictures of a series, in this order, and the source of their frames."""

    index: SeriesIndex
    source: FrameSource
    pictures: Sequence[Picture] = ()
    overlays: bool = True
    """True to read overlay planes too."""

    composed: Mapping[Picture, Composed] = field(default_factory=dict)
    """Pictures that were composed already."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the series is not among the pictures that could be chosen."""

    def index_of(self, frame: FrameRef) -> SeriesIndex:
        """Find the index of the series that a frame belongs to."""
        return self.source.references[frame.series - 1].index if frame.series else self.index

    def store_of(self, series: int) -> Store:
        """Find the store of a series: 0 for this one, k for the k-th that it draws upon."""
        return self.source.references[series - 1].store if series else self.source.store


class _Instance(NamedTuple):
    """One instance of one of the series."""

    series: int
    row: int


_Read = Mapping[_Instance, EncodedFrames | DspBatchError]
"""The frames of each instance, or the error that says why there are none."""


def compose_pictures(chosen: PictureSet) -> Iterator[Composed]:
    """Read, decode and compose pictures one after the other.

    The objects of a group of pictures are read at once. A group is as large as memory allows, so that dozens of
    large frames take no more of it than a few.

    Returns:
        An iterator of the pictures, in their order. Instead of a picture that fails there is its error.

    Raises:
        StorageError: A frame could not be read, for a reason that holds for the next ones too.
        PixelError: Nothing could be drawn.
    """
    first_error: DspBatchError | None = None
    has_drawn = False
    for group in split_pictures(chosen):
        for picture, composed in zip(group.pictures, compose_group(group), strict=True):
            if isinstance(composed, StoredFrame):
                has_drawn = True
            elif composed.reason in ("network", "timeout", "access-denied"):
                raise composed
            elif first_error is None:
                first_error = _name_object(chosen, picture, composed)
            yield composed
    if first_error is not None and not has_drawn:
        message = f"no frame of {chosen.index.url} could be drawn; the first, in {first_error.message}"
        raise PixelError(message, first_error.reason)


def split_pictures(chosen: PictureSet) -> list[PictureSet]:
    """Split pictures into groups of at most `MAX_READ` bytes of frames. A larger picture is a group of its own."""
    groups: list[list[Picture]] = []
    left = -1
    for picture in chosen.pictures:
        size = _count_bytes(chosen, picture)
        if size > left:
            groups.append([])
            left = MAX_READ
        groups[-1].append(picture)
        left -= size
    return [replace(chosen, pictures=group) for group in groups]


def compose_group(group: PictureSet) -> Iterator[Composed]:
    """Compose pictures that are small enough to be read at once. Instead of a picture that fails there is its error."""
    if all(picture in group.composed for picture in group.pictures):
        yield from (group.composed[picture] for picture in group.pictures)
        return
    encoded = _read_frames(group)
    first = next((each for each in encoded.values() if isinstance(each, EncodedFrames)), None)
    if group.source.decoders == 1 or first is None or is_native(first.pixels.transfer_syntax_uid):
        for picture in group.pictures:
            yield _compose(group, picture, encoded)
        return
    with ThreadPoolExecutor(group.source.decoders, thread_name_prefix="dsp-batch-decode") as pool:
        yield from pool.map(lambda picture: _compose(group, picture, encoded), group.pictures)


def hold_pictures(chosen: PictureSet) -> PictureSet:
    """Compose pictures now, where memory holds all of them, so that they can be drawn more than once."""
    if len(split_pictures(chosen)) > 1:
        return chosen
    return replace(chosen, composed=dict(zip(chosen.pictures, compose_pictures(chosen), strict=True)))


def read_frames_of(some: PictureSet) -> Iterator[Mapping[FrameRef, StoredFrame]]:
    """Read the frames of each picture, and decode those that are asked for."""
    for group in split_pictures(some):
        encoded = _read_frames(group)
        yield from (_DecodedFrames(picture, encoded) for picture in group.pictures)


def kind_of(index: SeriesIndex, picture: Picture) -> Kind:
    """Find the kind that a picture is of."""
    return find_kind(index.texts("SOPClassUID")[picture.about.instance])


def is_in_color(chosen: PictureSet, picture: Picture) -> bool:
    """Tell whether a picture will be in color, and so have no window; False where its header is damaged."""
    if kind_of(chosen.index, picture).in_color:
        return True
    if not picture.frames:
        return False
    first = picture.frames[0]
    try:
        return pixels_of(chosen.index_of(first), first.instance).is_color
    except PixelError:
        return False


def count_drawing_bytes(index: SeriesIndex, tiles: int) -> int:
    """Compute the bytes of memory that drawing a series takes at most: a group of frames, and copies of the largest."""
    columns: list[Iterable[Any]] = [index.values(name) if index.has(name) else [None] for name in _PIXEL_COUNTS]
    rows, width, samples, bits = (max((n for n in column if isinstance(n, int)), default=1) for column in columns)
    frame: int = rows * width * samples * -(-bits // 8)
    return 2 * min(MAX_READ, tiles * frame) + _COPIES * frame


def _count_bytes(chosen: PictureSet, picture: Picture) -> int:
    """Compute the bytes of the decoded frames of a picture. Frames of damaged instances are never read."""
    total = 0
    for instance, count in Counter(_Instance(frame.series, frame.instance) for frame in picture.frames).items():
        first = FrameRef(instance.row, 0, instance.series)
        try:
            total += count * pixels_of(chosen.index_of(first), first.instance).decoded_frame_bytes
        except PixelError:
            continue
    return total


def _read_frames(group: PictureSet) -> _Read:
    """Read the frames of all pictures, from all objects of a series concurrently."""
    wanted: dict[int, dict[int, list[int]]] = {}
    for frame in (frame for picture in group.pictures for frame in picture.frames):
        wanted.setdefault(frame.series, {}).setdefault(frame.instance, []).append(frame.frame)
    found: dict[_Instance, EncodedFrames | DspBatchError] = {}
    for series, frames in wanted.items():
        index = group.source.references[series - 1].index if series else group.index
        found |= {_Instance(series, row): each for row, each in _read_instances(group, series, index, frames).items()}
    return found


def _read_instances(
    group: PictureSet, series: int, index: SeriesIndex, frames: Mapping[int, list[int]]
) -> dict[int, EncodedFrames | DspBatchError]:
    """Read frames of instances of one series, from objects in memory or from storage."""
    source = group.source
    names, sizes = index.object_names, index.values("ObjectSize")
    infos = {row: ObjectInfo(name=names[row], size=sizes[row]) for row in frames}
    options = ReadingOptions(overlays=group.overlays, max_frame_bytes=source.max_frame_bytes)
    readers = {infos[row]: partial(read_pictures, index, row, numbers, options) for row, numbers in frames.items()}
    found = _read_bodies(readers, index.bodies)
    missing = {info: read() for info, read in readers.items() if info.name not in found}
    found.update(group.store_of(series).read(index.objects_folder, missing, timeout=source.timeout))
    return {row: found[info.name] for row, info in infos.items()}


def _read_bodies(
    readers: Mapping[ObjectInfo, Callable[[], Reader[EncodedFrames]]], bodies: Mapping[str, Buffer]
) -> dict[str, EncodedFrames | DspBatchError]:
    """Read frames from the objects that are in memory."""
    found: dict[str, EncodedFrames | DspBatchError] = {}
    for info, read in readers.items():
        body = bodies.get(info.name)
        if body is not None:
            try:
                found[info.name] = read_bytes(read(), body)
            except DspBatchError as error:
                found[info.name] = error
    return found


class _DecodedFrames(Mapping[FrameRef, StoredFrame]):
    """The frames of a picture that can be decoded, each when it is asked for.

    Args:
        picture: Names the frames. Those of a picture that is stitched may be thousands: only the last is kept.
        encoded: What was read.
    """

    def __init__(self, picture: Picture, encoded: _Read) -> None:
        self._encoded = encoded
        self._refs = dict.fromkeys(picture.frames)
        self._kept: dict[FrameRef, StoredFrame | DspBatchError] = {}
        self._keeps_one = bool(picture.tile_offsets)
        self.failure: tuple[FrameRef, DspBatchError] | None = None
        """The first frame that could not be decoded, and why."""

        self.notes: list[str] = []

    def __getitem__(self, ref: FrameRef) -> StoredFrame:
        frame = self._decode(ref) if ref in self._refs else None
        if isinstance(frame, StoredFrame):
            return frame
        raise KeyError(ref)

    def __contains__(self, ref: object) -> bool:
        return ref in self._refs and isinstance(self._decode(ref), StoredFrame)

    def __iter__(self) -> Iterator[FrameRef]:
        return (ref for ref in self._refs if ref in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _decode(self, ref: FrameRef) -> StoredFrame | DspBatchError:
        if ref not in self._kept:
            check_time()
            of_object = self._encoded[_Instance(ref.series, ref.instance)]
            frame = of_object.decode(ref.frame) if isinstance(of_object, EncodedFrames) else of_object
            if self._keeps_one:
                self._kept.clear()
            self._kept[ref] = frame
            if isinstance(frame, StoredFrame):
                self.notes += frame.notes
            else:
                self.failure = self.failure or (ref, frame)
        return self._kept[ref]


def _compose(chosen: PictureSet, picture: Picture, encoded: _Read) -> Composed:
    """Make a picture from those of its frames that can be decoded."""
    check_time()
    frames = _DecodedFrames(picture, encoded)
    if picture.frames and next(iter(frames), None) is None and frames.failure:
        return _locate(chosen, *frames.failure)
    try:
        header = chosen.index.attributes(picture.about.instance)
        drawn = kind_of(chosen.index, picture).compose(picture, header, frames)
    except PixelError as failure:
        return _locate(chosen, picture.about, failure)
    first = picture.frames[0] if picture.frames else None
    of_first = encoded[_Instance(first.series, first.instance)] if first else None
    profile = of_first.profile if isinstance(of_first, EncodedFrames) else None
    if profile and drawn.is_color:
        drawn = replace(drawn, values=convert_to_srgb(drawn.values, profile))
    notes = (*picture.notes, *frames.notes, *drawn.notes)
    return replace(drawn, notes=gather_notes(notes)) if notes else drawn


def _locate(chosen: PictureSet, ref: FrameRef, error: DspBatchError) -> DspBatchError:
    """Add object, frame and transfer syntax to the message of an error of pixels."""
    if not isinstance(error, PixelError | HeaderError):
        return error
    keys = ("FileName", "TransferSyntaxUID", "NumberOfFrames")
    name, syntax, count = (chosen.index_of(ref).values(key)[ref.instance] for key in keys)
    frame = f", frame {ref.frame + 1}" if (count or 1) > 1 and not error.message.startswith("frame ") else ""
    encoded = f" ({syntax})" if syntax and syntax not in error.message else ""
    return type(error)(f"{name}{frame}{encoded}: {error.message}", error.reason)


def _name_object(chosen: PictureSet, picture: Picture, error: DspBatchError) -> DspBatchError:
    name = chosen.index.values("FileName")[picture.about.instance]
    return error if name in error.message else type(error)(f"{name}: {error.message}", error.reason)
