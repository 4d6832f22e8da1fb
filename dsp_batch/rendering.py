"""From a series index to a finished preview: which frames, their bytes, their tiles, one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.geometry import order_frames
from dsp_batch.core.selection import distribute, select_position, select_range
from dsp_batch.core.tiling import compose_mosaic, failed_tile, fit_tile, tile_shape
from dsp_batch.core.windowing import choose_voi, display_values, needs_percentiles, percentile_window
from dsp_batch.errors import DspBatchError, PixelError
from dsp_batch.index import SeriesIndex
from dsp_batch.model import (
    ByteArray,
    EncodedImage,
    FrameOrder,
    FrameRef,
    FrameTable,
    LookupTable,
    ObjectInfo,
    StoredFrame,
    Window,
)
from dsp_batch.options import Contrast, ContrastMosaicOptions, ImageOptions, MosaicOptions
from dsp_batch.pictures import Pictures, drawable_rows, read_pictures, without_pixels
from dsp_batch.reading import Reader, read_bytes
from dsp_batch.storage.store import Store

Picture = StoredFrame | DspBatchError
"""A decoded frame, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Drawables:
    """The frames of a series that can be drawn, in display order."""

    order: FrameOrder
    refs: tuple[FrameRef, ...]


def render_mosaic(
    index: SeriesIndex, store: Store, options: MosaicOptions, suffix: str, timeout: float | None = None
) -> EncodedImage:
    """Draw a grid of frames spread evenly over a range of the series.

    Args:
        index: The series.
        store: Where its objects are read.
        options: The range, the grid and the contrast.
        suffix: `.webp`, `.jpg` or `.jpeg`.
        timeout: Seconds for reading; None for no limit.

    Raises:
        SeriesError: The series has nothing to draw.
        OptionsError: The range holds no frame.
        PixelError: No frame could be decoded.
        StorageError: The frames could not be read.
    """
    frames = _drawable_frames(index)
    places = select_range(frames.order, options.start, options.end)
    rows, columns = options.grid
    chosen = [frames.refs[place] for place in places[distribute(len(places), rows * columns)]]
    pictures = _fetch_pictures(index, store, chosen, timeout, overlays=options.overlays)
    tiles = _draw_tiles(pictures, (options.contrast,), options.image_width)
    return _finish(tiles, (rows, columns), options.quality, suffix)


def render_image(
    index: SeriesIndex, store: Store, options: ImageOptions, suffix: str, timeout: float | None = None
) -> EncodedImage:
    """Draw one frame. Arguments and errors are those of `render_mosaic`."""
    frames = _drawable_frames(index)
    chosen = frames.refs[select_position(frames.order, options.position, options.slice_offset)]
    pictures = _fetch_pictures(index, store, [chosen], timeout, overlays=options.overlays)
    return _finish(_draw_tiles(pictures, (options.contrast,), options.image_width), (1, 1), options.quality, suffix)


def render_contrast_mosaic(
    index: SeriesIndex, store: Store, options: ContrastMosaicOptions, suffix: str, timeout: float | None = None
) -> EncodedImage:
    """Draw the same frames under several contrasts. Arguments and errors are those of `render_mosaic`."""
    frames = _drawable_frames(index)
    if options.position is not None:
        places = np.asarray([select_position(frames.order, options.position, options.slice_offset or 0)])
        rows = 1
    else:
        in_range = select_range(frames.order, options.start or 0.0, options.end)
        rows = options.tile_height
        places = in_range[distribute(len(in_range), rows)]
    chosen = [frames.refs[place] for place in places]
    pictures = _fetch_pictures(index, store, chosen, timeout, overlays=options.overlays)
    tiles = _draw_tiles(pictures, options.contrasts, options.image_width)
    return _finish(tiles, (rows, len(options.contrasts)), options.quality, suffix)


def _drawable_frames(index: SeriesIndex) -> _Drawables:
    """Order the frames that have pixels; the others of a mixed series neither count nor stretch its range."""
    rows = drawable_rows(index)
    if not rows:
        raise without_pixels(f"{index.root}/{index.series_uuid}", (uid or "" for uid in index.values("SOPClassUID")))
    table = index.frames
    entries = np.flatnonzero(np.isin(table.instance, rows))
    order = index.order if len(entries) == len(table.instance) else order_frames(_take_frames(table, entries))
    places = entries[order.permutation]
    refs = tuple(map(FrameRef, table.instance[places].tolist(), table.frame[places].tolist()))
    return _Drawables(order=order, refs=refs)


def _take_frames(table: FrameTable, entries: np.ndarray) -> FrameTable:
    return FrameTable(
        instance=table.instance[entries],
        frame=table.frame[entries],
        position=table.position[entries],
        orientation=table.orientation[entries],
        slice_location=table.slice_location[entries],
        instance_number=table.instance_number[entries],
        times=table.times[entries],
        sop_instance_uid=tuple(table.sop_instance_uid[entry] for entry in entries),
        name=tuple(table.name[entry] for entry in entries),
    )


def _fetch_pictures(
    index: SeriesIndex, store: Store, refs: Sequence[FrameRef], timeout: float | None, *, overlays: bool
) -> list[Picture]:
    """Read and decode frames, object by object at once; a frame that fails is an error in its place."""
    wanted: dict[int, list[int]] = {}
    for ref in refs:
        wanted.setdefault(ref.instance, []).append(ref.frame)
    names, sizes = index.values("FileName"), index.values("ObjectSize")
    infos = {row: ObjectInfo(name=names[row], size=sizes[row]) for row in wanted}
    readers = {infos[row]: read_pictures(index, row, frames, overlays=overlays) for row, frames in wanted.items()}
    found = _read_bodies(readers, index.bodies)
    missing = {info: reader for info, reader in readers.items() if info.name not in found}
    found.update(store.read(index.series_uuid, missing, timeout=timeout))
    pictures: list[Picture] = []
    for ref in refs:
        of_object = found[infos[ref.instance].name]
        picture: Picture = of_object[ref.frame] if isinstance(of_object, Mapping) else of_object
        pictures.append(picture)
    _raise_if_none(index, refs, pictures)
    return pictures


def _read_bodies(
    readers: Mapping[ObjectInfo, Reader[Pictures]], bodies: Mapping[str, bytes]
) -> dict[str, Pictures | DspBatchError]:
    """Read from the objects that are in memory."""
    found: dict[str, Pictures | DspBatchError] = {}
    for info, reader in readers.items():
        if info.name in bodies:
            try:
                found[info.name] = read_bytes(reader, bodies[info.name])
            except DspBatchError as error:
                found[info.name] = error
    return found


def _raise_if_none(index: SeriesIndex, refs: Sequence[FrameRef], pictures: Sequence[Picture]) -> None:
    errors = [picture for picture in pictures if isinstance(picture, DspBatchError)]
    for error in errors:
        if error.reason in ("network", "timeout", "access-denied"):
            raise error
    if len(errors) == len(pictures):
        name = index.values("FileName")[refs[0].instance]
        message = (
            f"no frame of {index.root}/{index.series_uuid} could be drawn; the first, in {name}: {errors[0].message}"
        )
        raise PixelError(message, errors[0].reason)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tiles:
    """The tiles of an image in reading order."""

    tiles: tuple[ByteArray, ...]
    shape: tuple[int, int]
    drawn: int
    failures: tuple[str, ...]
    window: Window | None


def _draw_tiles(pictures: Sequence[Picture], contrasts: Sequence[Contrast], width: int) -> _Tiles:
    """Draw each picture under each contrast. One automatic window serves all, so that tiles compare."""
    frames = [picture for picture in pictures if isinstance(picture, StoredFrame)]
    automatic = None
    if any(needs_percentiles(contrast, frame) for contrast in contrasts for frame in frames):
        automatic = percentile_window(frames)
    rows, columns = frames[0].values.shape[:2]
    shape = tile_shape(rows, columns, frames[0].aspect, width)
    tiles: list[ByteArray] = []
    failures: list[str] = []
    for picture in pictures:
        if isinstance(picture, StoredFrame):
            tiles.extend(_draw_tile(picture, choose_voi(c, picture, automatic), shape) for c in contrasts)
        else:
            failures.append(picture.message)
            tiles.extend(failed_tile(shape) for _ in contrasts)
    voi = None if frames[0].is_color else choose_voi(contrasts[0], frames[0], automatic)
    return _Tiles(
        tiles=tuple(tiles),
        shape=shape,
        drawn=len(frames) * len(contrasts),
        failures=tuple(failures),
        window=voi if isinstance(voi, Window) else None,
    )


def _draw_tile(frame: StoredFrame, voi: Window | LookupTable, shape: tuple[int, int]) -> ByteArray:
    display = display_values(frame, voi)
    if frame.overlay is not None:
        display = np.where(frame.overlay if display.ndim == 2 else frame.overlay[..., None], np.uint8(255), display)
    return fit_tile(display, frame.aspect, shape)


def _finish(tiles: _Tiles, grid: tuple[int, int], quality: int, suffix: str) -> EncodedImage:
    pixels = compose_mosaic(tiles.tiles, grid, tiles.shape)
    return EncodedImage(
        data=encode_image(pixels, suffix, quality),
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=tiles.drawn,
        failures=tiles.failures,
        window=tiles.window,
    )
