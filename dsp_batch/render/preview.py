"""Draw the one picture of any series: its frames as a grid, its only frame, or a card that describes it."""

from __future__ import annotations

import math
from dataclasses import replace

from dsp_batch.core.encoding import encode_image, encode_text
from dsp_batch.core.tiling import MOST_TILES, lay_out_tiles
from dsp_batch.core.windowing import full_window
from dsp_batch.errors import PixelError, SeriesError, printable
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.card import hide_descriptions, name_class, shorten_card
from dsp_batch.kinds.kind import Contents
from dsp_batch.kinds.registry import describe_instances, find_speakers, name_references
from dsp_batch.model.card import Card
from dsp_batch.model.contrast import AUTO, Contrast, parse_contrast
from dsp_batch.model.frame import DrawnAs, EncodedImage, StoredFrame, TileGrid
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.series import ByteArray, FrameOrder
from dsp_batch.options import PreviewOptions
from dsp_batch.render.card import draw_card, summarize_card, title_card
from dsp_batch.render.choose import SeriesPictures, begin_choice, list_pictures, spread_pictures
from dsp_batch.render.compose import FrameSource, PictureSet, compose_pictures, hold_pictures
from dsp_batch.render.draw import Layout, Tiles, draw_tiles, encode_tiles
from dsp_batch.render.figures.contents import read_contents
from dsp_batch.render.figures.draw import draw_figure

_FLAT_TILE = 0.995
"""Share of the pixels of a tile that are black, or white, where the object's own window shows nothing."""

_FLAT_PICTURE = 0.96
"""Share of the pixels of all tiles that are black, or white, where the percentiles of their values show nothing."""

_LEAST_QUALITY = 70
"""Quality of pictures that bear text, at least."""

_LONGEST_TITLE = 200


def draw_preview(index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str) -> EncodedImage:
    """Draw a series, whatever it holds.

    Args:
        index: The series.
        source: The source of its frames, and of the series that it draws upon.
        options: Size, contrast and quality.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Raises:
        PixelError: The series has frames, and none of them could be decoded.
        StorageError: The frames could not be read.
    """
    try:
        every = list_pictures(index, source)
    except SeriesError as error:
        if error.reason not in ("no-pixels", "raw-data"):
            raise
        return _draw_object(index, source, options, suffix)
    empty = begin_choice(index, source, every, overlays=options.overlays)
    chosen = hold_pictures(spread_pictures(empty, every, (0.0, 1.0), MOST_TILES))
    tiles = _draw_visibly(chosen, parse_contrast(options.contrast), _lay_out_grid(len(chosen.pictures), options.size))
    image = encode_tiles(tiles, suffix, options.quality)
    title = _title_series(index, describe=options.describe)
    return replace(image, grid=_describe_grid(chosen, every, tiles), title=title)


def _draw_object(index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str) -> EncodedImage:
    """Draw a series that shows no image: as a figure where its kind has one, else as a card."""
    kind, rows = find_speakers(index)
    instances, notes = read_contents(index, source, kind, rows)
    if not options.describe:
        instances = hide_descriptions(instances)
    sizes = dict(enumerate(index.values("ObjectSize")))
    card = describe_instances(kind, Contents(instances=instances, sizes=sizes))
    card = replace(card, notes=(*card.notes, *notes))
    try:
        figure = kind.draw(instances) if kind.draw else None
        drawn = draw_figure(figure, card, options.size) if figure is not None else None
    except PixelError as error:
        drawn = None
        card = replace(card, notes=(*card.notes, error.message))
    if drawn is None:
        pixels = draw_card(card, options.size)
        return _finish(index, card, "card", pixels, encode_text(pixels, suffix))
    pixels, card = drawn
    data = encode_image(pixels, suffix, max(options.quality, _LEAST_QUALITY))
    return _finish(index, shorten_card(card), "picture", pixels, data)


def _finish(index: SeriesIndex, card: Card, drawn_as: DrawnAs, pixels: ByteArray, data: bytes) -> EncodedImage:
    return EncodedImage(
        data=data,
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=0,
        drawn_as=drawn_as,
        title=title_card(card),
        summary=summarize_card(card),
        n_items=card.n_items,
        references=name_references(index),
        notes=gather_notes((*index.notes, *card.notes)),
    )


def _lay_out_grid(count: int, size: int) -> Layout:
    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        return lay_out_tiles(count, (rows, columns), frame.aspect, size)

    return lay_out


def _draw_visibly(chosen: PictureSet, contrast: Contrast, layout: Layout) -> Tiles:
    """Draw tiles, and again under another window where theirs leaves nothing to see.

    The object's own window gives way to the percentiles of the values, and these to the full range of the values. A
    window that was asked for stays.
    """
    tiles = draw_tiles(chosen, (contrast,), layout)
    if contrast.kind == "embedded" and tiles.window_source == "embedded" and _are_mostly_flat(tiles):
        tiles = draw_tiles(chosen, (AUTO,), layout)
    if tiles.window_source == "auto" and _is_flat(tiles):
        window = full_window(each for each in compose_pictures(chosen) if isinstance(each, StoredFrame))
        if window is not None:
            full = draw_tiles(chosen, (Contrast(kind="window", window=window),), layout)
            tiles = replace(full, window_source="auto")
    return tiles


def _are_mostly_flat(tiles: Tiles) -> bool:
    """Tell whether more than half of the tiles are all black or all white though their values differ."""
    flat = [each.varies and max(each.black, each.white) >= _FLAT_TILE * each.pixels for each in tiles.exposures]
    return 2 * sum(flat) > len(flat)


def _is_flat(tiles: Tiles) -> bool:
    """Tell whether the picture is all but black or all but white though its values differ."""
    pixels = sum(each.pixels for each in tiles.exposures)
    most = max(sum(each.black for each in tiles.exposures), sum(each.white for each in tiles.exposures))
    return most >= _FLAT_PICTURE * pixels and any(each.varies for each in tiles.exposures)


def _describe_grid(chosen: PictureSet, every: SeriesPictures, tiles: Tiles) -> TileGrid:
    ranks = {picture: rank for rank, picture in enumerate(every.pictures)}
    shown = [ranks[picture] for picture in chosen.pictures]
    abouts = [picture.about for picture in chosen.pictures]
    uids = chosen.index.texts("SOPInstanceUID")
    return TileGrid(
        columns=tiles.grid[1],
        rows=tiles.grid[0],
        tile_width=tiles.shape[1],
        tile_height=tiles.shape[0],
        blank=tuple(range(len(tiles.tiles), tiles.grid[0] * tiles.grid[1])),
        failed=tiles.failed,
        positions=_pick_numbers(every.order, "primary_position", shown),
        times=_pick_numbers(every.order, "time", shown),
        instances=tuple(uids[about.instance] for about in abouts),
        frames=tuple(about.frame for about in abouts),
    )


def _pick_numbers(order: FrameOrder, name: str, ranks: list[int]) -> tuple[float | None, ...]:
    numbers = getattr(order, name)[ranks].tolist()
    return tuple(number if math.isfinite(number) else None for number in numbers)


def _title_series(index: SeriesIndex, *, describe: bool) -> str:
    """Make the title of images: modality and description, or else the name of their class."""
    keywords = ("Modality", "SeriesDescription") if describe else ("Modality",)
    texts = [printable(index.texts(keyword)[0]).strip() for keyword in keywords]
    return " · ".join(text for text in texts if text)[:_LONGEST_TITLE] or name_class(index.texts("SOPClassUID")[0])
