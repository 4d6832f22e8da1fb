"""What is at hand when a series is drawn over an image, and the image itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.tiling import lay_out_tiles
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.card import hide_descriptions
from dsp_batch.kinds.kind import Contents, Instances
from dsp_batch.kinds.overlays.layers import Backdrop
from dsp_batch.kinds.registry import describe_instances, find_speakers, name_references
from dsp_batch.model.card import Card
from dsp_batch.model.contrast import parse_contrast
from dsp_batch.model.frame import EncodedImage, StoredFrame
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.series import ByteArray
from dsp_batch.options import PreviewOptions
from dsp_batch.render.card import summarize_card, title_card
from dsp_batch.render.compose import FrameSource, PictureSet, hold_pictures
from dsp_batch.render.draw import Tiles
from dsp_batch.render.exposure import draw_visibly

LEAST_QUALITY = 70
"""Quality of a picture with text, at least: less blurs it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OverlayWork:
    """A series that is drawn over an image, and how."""

    index: SeriesIndex
    source: FrameSource
    options: PreviewOptions
    suffix: str

    def open_pictures(self, backdrop: Backdrop) -> PictureSet:
        """Make the set of the one picture beneath."""
        series = self.source.references[backdrop.series - 1] if backdrop.series else None
        store = series.store if series else self.source.store
        return PictureSet(
            index=series.index if series else self.index,
            source=replace(self.source, store=store, references=(), missing=None),
            pictures=[backdrop.picture],
            overlays=self.options.overlays,
        )

    def encode(self, pixels: ByteArray, tiles: Tiles | None, **known: Any) -> EncodedImage:
        """Encode a finished picture, and tell what is known of it."""
        return EncodedImage(
            data=encode_image(pixels, self.suffix, max(self.options.quality, LEAST_QUALITY)),
            width=pixels.shape[1],
            height=pixels.shape[0],
            window=tiles.window if tiles else None,
            window_source=tiles.window_source if tiles else None,
            references=name_references(self.index),
            **known,
        )

    @cached_property
    def card(self) -> Card:
        """Return the card of the series."""
        kind, rows = find_speakers(self.index)
        instances: Instances = {row: self.index.attributes(row) for row in rows}
        if not self.options.describe:
            instances = hide_descriptions(instances)
        return describe_instances(kind, Contents(instances=instances))

    def describe(self) -> Mapping[str, Any]:
        """Tell what the card of the series says."""
        card = self.card
        return {
            "title": title_card(card),
            "summary": summarize_card(card),
            "n_items": card.n_items,
            "notes": gather_notes((*self.index.notes, *card.notes)),
        }


def draw_backdrop(backdrop: Backdrop, work: OverlayWork, size: int) -> Tiles:
    """Draw the image beneath as large as fits a square of this size."""

    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        return lay_out_tiles(1, (rows, columns), frame.aspect, size)

    pictures = hold_pictures(work.open_pictures(backdrop))
    return draw_visibly(pictures, parse_contrast(work.options.contrast), lay_out)


def in_color(tile: ByteArray) -> ByteArray:
    """Give a tile as RGB."""
    return tile if tile.ndim == 3 else np.repeat(tile[..., np.newaxis], 3, axis=2)
