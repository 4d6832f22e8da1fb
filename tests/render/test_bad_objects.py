"""Objects that are damaged or made to be trouble: a card or a note, in bounded time and memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from encoded_reports import encode_element, encode_group, encode_item, encode_number, encode_text, write_report

from dsp_batch import PreviewOptions, preview
from dsp_batch.model.card import Card
from dsp_batch.model.frame import EncodedImage
from dsp_batch.render.card import draw_card
from dsp_batch.render.text import replace_missing

SMALL = PreviewOptions(size=256)
SECONDS = 30
"""Time that none of these may take, on a machine with other work; each takes a second or two at rest."""


def draw(folder: Path) -> EncodedImage:
    begin = time.process_time()
    image = preview(folder, SMALL)
    assert time.process_time() - begin < SECONDS
    assert image.drawn_as == "card"
    return image


class TestReports:
    @pytest.mark.parametrize("content", [b"", encode_item(b""), b"\xff" * 64, encode_item(b"\xff" * 60)])
    def test_without_content_it_is_a_card_of_its_header(self, content: bytes, tmp_path: Path) -> None:
        image = draw(write_report(tmp_path, content))

        assert image.title is not None
        assert image.title.startswith("SR · ")

    def test_a_tree_of_ten_thousand_levels_is_read_as_far_as_it_goes(self, tmp_path: Path) -> None:
        nested = encode_item(encode_text("too deep"))
        for _ in range(10_000):
            nested = encode_item(encode_element(0x0040A730, "SQ", nested))

        image = draw(write_report(tmp_path, encode_item(encode_text("seen")) + nested))

        assert image.summary is not None

    def test_thousands_of_items_are_told_in_time(self, tmp_path: Path) -> None:
        items = b"".join(encode_item(encode_text(f"item {number}")) for number in range(5_000))

        image = draw(write_report(tmp_path, items))

        assert image.summary is not None
        assert "Finding: item 9" in image.summary
        assert len("".join(image.summary).encode()) <= 2048

    @pytest.mark.parametrize("value", ["", "nan", "1e999", "abc"])
    def test_values_that_are_no_numbers_are_dashes(self, value: str, tmp_path: Path) -> None:
        image = draw(write_report(tmp_path, encode_group(encode_number(value))))

        assert image.summary is not None
        assert image.summary[-1] == "Group 1 · —"


class TestFonts:
    def test_scripts_that_the_font_lacks_are_squares(self) -> None:
        assert replace_missing("肝 Leber печень ตับ ¹") == "□ Leber печень □□□ ¹"

    @pytest.mark.parametrize(
        "text", ["肝" * 100_000, "\u202e" * 500, "e\u0301\u0301\u0301", "\ud800", "🫀🫁", "a\x00b\x1b[31m"]
    )
    def test_any_text_is_drawn_in_time(self, text: str) -> None:
        card = Card(kind=text[:60], headline=text[:200], title=text[:200], rows=((text[:200], text[:200]),) * 30)
        begin = time.process_time()

        assert draw_card(card, 256).shape == (256, 256, 3)
        assert time.process_time() - begin < SECONDS
