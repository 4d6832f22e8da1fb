"""Make the title of images, which have no card."""

from __future__ import annotations

from dsp_batch.errors import printable
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.card import name_class

_LONGEST_TITLE = 200


def title_series(index: SeriesIndex, *, describe: bool) -> str:
    """Make the title of images: modality and description, or else the name of their class."""
    keywords = ("Modality", "SeriesDescription") if describe else ("Modality",)
    texts = [printable(index.texts(keyword)[0]).strip() for keyword in keywords]
    return " · ".join(text for text in texts if text)[:_LONGEST_TITLE] or name_class(index.texts("SOPClassUID")[0])
