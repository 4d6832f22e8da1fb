"""Objects without pixels: real ones, and small ones made of keywords and values."""

from __future__ import annotations

from typing import Any

from data_folder import DATA

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.fetch import fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.kinds.kind import Instances
from dsp_batch.model.card import Card
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import IndexOptions
from dsp_batch.storage.store import Store

OBJECTS = DATA / "objects"
CANARY = "CANARY^NAME"


def load_instances(folder: str) -> Instances:
    """Load the headers of a real series as a card gets them."""
    store = Store(str(OBJECTS))
    index = build_index(fetch_headers(SeriesRef(root=store.root, series_uuid=folder), store, IndexOptions()))
    return {row: index.attributes(row) for row in range(len(index))}


def make_item(**values: Any) -> Attributes:
    """Make a header or an item of a sequence."""
    return Attributes({key: value for key, value in values.items() if value is not None})


def make_code(meaning: str, value: str = "", scheme: str = "DCM") -> list[Attributes]:
    """Make a code sequence with one item."""
    return [make_item(CodeValue=value or meaning, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def list_texts(card: Card) -> list[str]:
    """List all texts of a card."""
    cells = [cell for row in card.rows for cell in row]
    return [card.kind, card.headline, card.title, *card.columns, *cells, *card.lines, *card.notes]
