"""Draw a series that shows no image: what its objects show by themselves, or a card that describes them."""

from __future__ import annotations

from dataclasses import replace

from dsp_batch.core.encoding import encode_image, encode_text
from dsp_batch.errors import PixelError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.card import hide_descriptions, shorten_card
from dsp_batch.kinds.kind import Contents
from dsp_batch.kinds.registry import describe_instances, find_speakers, name_references
from dsp_batch.model.card import Card
from dsp_batch.model.frame import DrawnAs, EncodedImage
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.series import ByteArray
from dsp_batch.options import PreviewOptions
from dsp_batch.render.card import draw_card, summarize_card, title_card
from dsp_batch.render.compose import FrameSource
from dsp_batch.render.figures.contents import read_contents
from dsp_batch.render.figures.draw import draw_figure
from dsp_batch.render.overlays.work import LEAST_QUALITY


def draw_object(index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str) -> EncodedImage:
    """Draw a series that shows no image: as a figure where its kind has one, else as a card."""
    kind, rows = find_speakers(index)
    instances, notes = read_contents(index, source, kind.reads, rows)
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
    data = encode_image(pixels, suffix, max(options.quality, LEAST_QUALITY))
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
