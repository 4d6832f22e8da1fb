"""Choose the pictures of a series to draw: those that the options ask for, and others instead of blank ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsp_batch.core.order import order_frames
from dsp_batch.core.selection import distribute, find_substitutes, list_neighbours, select_position, select_range
from dsp_batch.errors import SKIPPED_REASONS, SeriesError
from dsp_batch.index.frames import take_frames
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.kind import PLAIN, Contents, Kind, Picture
from dsp_batch.kinds.registry import group_by_kind, without_pixels
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import FrameOrder, FrameRef, FrameTable
from dsp_batch.options import CineOptions, ContrastMosaicOptions, FrameOptions, ImageOptions, MosaicOptions
from dsp_batch.render.compose import MAX_READ, FrameSource, PictureSet, compose_group, kind_of, split_pictures

_LOOKS = 3
"""Number of times that pictures are looked at, the first included: at most 3 times as many are read as are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesPictures:
    """All pictures of a series. Entry i of the order is about the i-th picture."""

    order: FrameOrder
    pictures: tuple[Picture, ...]


def choose_pictures(index: SeriesIndex, source: FrameSource, options: FrameOptions) -> PictureSet:
    """Choose the pictures that the options ask for, in display order.

    Args:
        index: The series.
        source: The source of its frames. Pictures of kinds that may show nothing are read and looked at.
        options: The range or the position, and the number of pictures.

    Raises:
        SeriesError: The series has nothing to draw.
        OptionsError: The range or the offset holds nothing.
        StorageError: The frames could not be read.
    """
    pictures = list_pictures(index, source)
    empty = begin_choice(index, source, pictures, overlays=options.overlays)
    if isinstance(options, MosaicOptions):
        rows, columns = options.grid
        return spread_pictures(empty, pictures, (options.start, options.end), rows * columns)
    if isinstance(options, CineOptions):
        return spread_pictures(empty, pictures, (options.start, options.end), options.frames)
    if options.position is None:
        return spread_pictures(empty, pictures, (options.start or 0.0, options.end), options.tile_height)
    return _choose_one(empty, pictures, options)


def find_instance(index: SeriesIndex, position: float, slice_offset: int = 0) -> int:
    """Find the instance whose picture lies at a position of a series: the one that `get-image` draws.

    Args:
        index: The series. Instances of a series without pictures are addressed by their own order.
        position: Place along the main stack, 0.0 (its first frame) to 1.0 (its last).
        slice_offset: Frames to walk from there in display order.

    Returns:
        Row of the instance.

    Raises:
        OptionsError: The walk leaves the series.
    """
    try:
        every = list_pictures(index)
    except SeriesError as error:
        if error.reason not in SKIPPED_REASONS:
            raise
        rank = select_position(index.order, position, slice_offset)
        return int(index.frames.instance[index.order.permutation[rank]])
    return every.pictures[select_position(every.order, position, slice_offset)].about.instance


def begin_choice(index: SeriesIndex, source: FrameSource, every: SeriesPictures, *, overlays: bool) -> PictureSet:
    """Make the set that pictures of a series are chosen into, as yet without any."""
    return PictureSet(index=index, source=source, overlays=overlays, notes=_note_other_planes(every.order))


def _note_other_planes(order: FrameOrder) -> tuple[str, ...]:
    """Say how many frames the main stack leaves out."""
    count = len(order.stack) - order.n_addressed
    if not count:
        return ()
    return ("1 frame in another plane is left out" if count == 1 else f"{count} frames in other planes are left out",)


def list_pictures(index: SeriesIndex, source: FrameSource | None = None) -> SeriesPictures:
    """List and order the pictures of a series. Instances that cannot be drawn are no part of the order or the range.

    Args:
        index: The series.
        source: The source of frames, which has the series that it draws upon; None for none.

    Raises:
        SeriesError: There is nothing to draw.
    """
    url = index.url
    groups = group_by_kind(index)
    if not groups:
        raise without_pixels(url, index.texts("SOPClassUID"))
    references = [each.index for each in source.references] if source else []
    sizes = dict(enumerate(index.values("ObjectSize")))
    table = index.frames
    entries: list[tuple[int, Picture]] = []
    for kind, rows in groups.items():
        if kind is PLAIN:
            entries += _list_plain(table, rows)
        else:
            instances = {row: index.attributes(row) for row in rows}
            contents = Contents(instances=instances, references=references, sizes=sizes)
            entries += _find_entries(table, _list_of_kind(kind, contents, url))
    if not entries:
        raise SeriesError(f"{url} tells of no picture that could be drawn", "no-pixels")
    entries.sort(key=lambda entry: entry[0])
    numbers = np.array([number for number, _ in entries])
    order = index.order if len(numbers) == len(table.instance) else order_frames(take_frames(table, numbers))
    return SeriesPictures(order=order, pictures=tuple(entries[number][1] for number in order.permutation.tolist()))


def _list_of_kind(kind: Kind, contents: Contents, url: str) -> list[Picture]:
    try:
        return kind.list_pictures(contents)
    except SeriesError as error:
        raise SeriesError(f"{url}: {error.message}", error.reason) from error


def _list_plain(table: FrameTable, rows: list[int]) -> list[tuple[int, Picture]]:
    """List every frame of plain images and every slice of grid images, without decoding a header again.

    Returns:
        Entries of the frame table, and their pictures.
    """
    numbers = np.flatnonzero(np.isin(table.instance, rows))
    refs = map(FrameRef, table.instance[numbers].tolist(), table.frame[numbers].tolist())
    return [(number, Picture(frames=(ref,))) for number, ref in zip(numbers.tolist(), refs, strict=True)]


def _find_entries(table: FrameTable, pictures: Sequence[Picture]) -> list[tuple[int, Picture]]:
    """Find the entry of the frame table that tells the rank of each picture."""
    starts = {row: number for number, row in reversed(list(enumerate(table.instance.tolist())))}
    return [(starts[picture.about.instance] + picture.about.frame, picture) for picture in pictures]


def spread_pictures(empty: PictureSet, every: SeriesPictures, span: tuple[float, float], tiles: int) -> PictureSet:
    """Choose pictures spread evenly over a range, and others for those of them that are blank.

    A few looks decide: where they find nothing that is not blank, the pictures spread evenly stay.

    Args:
        empty: The set to choose into, from `begin_choice`.
        every: All pictures of the series.
        span: Start and end of the range, from 0.0 to 1.0.
        tiles: Number of pictures, at most.
    """
    pictures = [every.pictures[rank] for rank in select_range(every.order, *span)]
    chosen = distribute(len(pictures), tiles)
    even = replace(empty, pictures=[pictures[number] for number in chosen])
    if not _may_be_blank(even):
        return even
    kept: dict[Picture, StoredFrame] = {}
    is_blank: dict[int, bool] = {}
    found = chosen.tolist()
    for _ in range(_LOOKS):
        blank = _look(replace(empty, pictures=[pictures[number] for number in found]), kept)
        is_blank |= zip(found, blank, strict=True)
        seen = np.array(sorted(is_blank))
        blanks = np.array([is_blank[number] for number in seen.tolist()])
        found = find_substitutes(len(pictures), seen, blanks, len(chosen) - int((~blanks).sum())).tolist()
        if not found:
            break
    filled = seen[~blanks] if not blanks.all() else chosen
    return replace(empty, pictures=[pictures[number] for number in filled], composed=kept)


def _choose_one(empty: PictureSet, every: SeriesPictures, options: ImageOptions | ContrastMosaicOptions) -> PictureSet:
    """Choose the picture at a position; if it is blank, the nearest of a few others of the main stack that is not.

    With an offset exactly the picture that it leads to is chosen, blank or not.
    """
    rank = select_position(every.order, options.position or 0.0, options.slice_offset or 0)
    chosen = replace(empty, pictures=[every.pictures[rank]])
    kept: dict[Picture, StoredFrame] = {}
    if options.slice_offset or not _may_be_blank(chosen):
        return chosen
    if not _look(chosen, kept)[0]:
        return replace(chosen, composed=kept)
    near = [every.pictures[other] for other in list_neighbours(every.order.n_addressed, rank)]
    _look(replace(empty, pictures=near), kept)
    filled = [picture for picture in near if picture in kept]
    return replace(empty, pictures=filled[:1], composed=kept) if filled else chosen


def _may_be_blank(chosen: PictureSet) -> bool:
    return any(kind_of(chosen.index, picture).is_blank is not None for picture in chosen.pictures)


def _look(chosen: PictureSet, kept: dict[Picture, StoredFrame]) -> list[bool]:
    """Tell which pictures are blank, and keep the others in memory as far as it allows."""
    blank: list[bool] = []
    for group in split_pictures(chosen):
        for picture, composed in zip(group.pictures, compose_group(group), strict=True):
            tells = kind_of(chosen.index, picture).is_blank
            is_blank = isinstance(composed, StoredFrame) and tells is not None and tells(composed)
            blank.append(is_blank)
            if isinstance(composed, StoredFrame) and not is_blank and _is_room(kept, composed):
                kept[picture] = composed
    return blank


def _is_room(kept: Mapping[Picture, StoredFrame], frame: StoredFrame) -> bool:
    """Tell whether there is memory to keep one more picture; the first is always kept."""
    return not kept or sum(each.values.nbytes for each in kept.values()) + frame.values.nbytes <= MAX_READ
