"""Cards of every size, and the text on them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dsp_batch.core.encoding import encode_text
from dsp_batch.model.card import Card
from dsp_batch.render.card import MOST_ROWS, draw_card, summarize_card, title_card
from dsp_batch.render.text import cut_text, measure_text, replace_missing

TABLE = Card(
    kind="SR",
    headline="104 regions",
    title="Shape",
    columns=("region", "volume (mm³)"),
    rows=tuple((f"region {number}", f"{number}") for number in range(104)),
    n_items=104,
)


def count_stripes(card: Card, size: int = 768) -> int:
    """Number of rows whose ground is shaded: every other one, the first included."""
    ground = draw_card(card, size)[:, size - size // 32].astype(int)
    is_shaded = (ground == (238, 240, 240)).all(axis=1)
    return int((np.diff(is_shaded.astype(int)) == 1).sum())


@pytest.mark.parametrize("size", [64, 65, 128, 300, 768, 4096])
@pytest.mark.parametrize(
    "card",
    [
        TABLE,
        Card(kind="", headline="", title=""),
        Card(kind="K" * 300, headline="h" * 300, title="t" * 300, lines=("l" * 300,) * 99),
        Card(kind="SR", headline="", title="x", rows=(("a",), ("a", "b", "c")), columns=("a", "b")),
        Card(kind="SR", headline="", title="x", rows=(("a",) * 30,) * 3),
    ],
)
def test_a_card_has_the_size_that_is_asked(card: Card, size: int) -> None:
    assert draw_card(card, size).shape == (size, size, 3)


def test_a_card_shows_so_many_rows_and_counts_the_others() -> None:
    assert count_stripes(TABLE) == MOST_ROWS // 2


def test_a_card_that_says_little_says_it_large() -> None:
    def line_height(count: int) -> float:
        card = Card(kind="SR", headline="", title="x", rows=(("region", "1"),) * count)
        ground = draw_card(card, 768)[:, 744]
        return float((ground == (238, 240, 240)).all(axis=1).sum() / ((count + 1) // 2))

    assert line_height(2) > 1.5 * line_height(20)


def test_the_headline_band_is_a_fifth_of_the_height() -> None:
    card = draw_card(TABLE, 768)[:, -1]

    assert 0.17 < (card == card[0]).all(axis=1).sum() / 768 < 0.21


def test_a_card_is_written_without_loss() -> None:
    pixels = draw_card(TABLE, 400)

    with Image.open(io.BytesIO(encode_text(pixels, ".webp"))) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels)
    with Image.open(io.BytesIO(encode_text(pixels, ".jpg"))) as image:
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 2


def test_a_summary_has_what_a_row_has_room_for() -> None:
    summary = summarize_card(TABLE)

    assert summary[:2] == ("region · volume (mm³)", "region 0 · 0")
    assert sum(len(line.encode()) for line in summary) <= 2048
    assert title_card(TABLE) == "SR · 104 regions · Shape"


def test_a_character_without_a_glyph_is_a_square() -> None:
    assert replace_missing("µm³ Ω Ж é 日本") == "µm³ Ω Ж é □□"


@pytest.mark.parametrize("width", [0, 30, 100, 10_000])
def test_text_is_cut_to_its_width(width: int) -> None:
    text = "a rather long line of text"

    cut = cut_text(text, width, 18)

    assert measure_text(cut, 18) <= max(width, measure_text("…", 18))
    assert cut == text or cut.endswith("…")
