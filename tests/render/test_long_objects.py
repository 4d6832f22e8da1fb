"""Reports and structure sets that are too long to be read whole: their first part is drawn, with a note."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from encoded_reports import encode_element, encode_group, encode_item, encode_number, encode_text, write_report
from pydicom import uid
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch import PreviewOptions, load_index, preview
from dsp_batch.dicom.headers import cut
from dsp_batch.dicom.headers.cut import cut_sequence
from dsp_batch.dicom.headers.elements import Encoding
from dsp_batch.dicom.headers.items import parse_items
from dsp_batch.phantom.modules import common
from dsp_batch.phantom.objects import build_single

SMALL = PreviewOptions(size=256)
NOTE = "longer than 32 MiB: only the first part is read"
SECONDS = 30
"""Time that none of these may take, on a machine with other work."""

UNTOLD = b"\xff\xff\xff\xff"
"""The length of an item or a sequence that ends with a delimitation item."""


def encode_endless(tag: int, content: bytes) -> bytes:
    """Encode a sequence of undefined length."""
    end = bytes.fromhex("feffdde000000000")
    return encode_element(tag, "SQ", b"")[:-4] + UNTOLD + content + end


def encode_endless_item(content: bytes) -> bytes:
    return encode_item(b"")[:-4] + UNTOLD + content + bytes.fromhex("feff0de000000000")


def encode_region(number: int, contours: int, points: int) -> bytes:
    """Encode the contours of one region of interest."""
    place = "\\".join(["1.25\\-2.5\\3"] * points).encode()
    contour = encode_element(0x30060042, "CS", b"CLOSED_PLANAR") + encode_element(0x30060046, "IS", b"%d" % points)
    contour += encode_long(0x30060050, place)
    value = encode_element(0x30060040, "SQ", encode_item(contour) * contours)
    return encode_item(value + encode_element(0x30060084, "IS", b"%d" % number))


def encode_long(tag: int, value: bytes) -> bytes:
    """Encode numbers as text of more than 65,534 bytes, for which the VR is UN (PS3.5 6.2.2)."""
    return encode_element(tag, "SQ", value)[:4] + b"UN" + encode_element(tag, "SQ", value)[6:]


def write_structures(folder: Path, regions: list[bytes]) -> Path:
    """Write a structure set with these items of ROI Contour Sequence."""
    told = [{"ROINumber": n + 1, "ROIName": f"Region {n + 1}"} for n in range(len(regions))]
    header = common("long", "Many contours", "RTSTRUCT", uid.RTStructureSetStorage)
    series = build_single("long", header | {"StructureSetROISequence": told}, None)
    folder = folder / series.series_uuid
    folder.mkdir()
    contours = encode_element(0x30060039, "SQ", b"".join(regions))
    (folder / "structures.dcm").write_bytes(series.objects[0].data + contours)
    return folder


class TestCutting:
    SHORT = encode_group(encode_number("1"), encode_number("2"), encode_number("3"))
    ENDLESS = encode_endless_item(
        encode_text("group") + encode_endless(0x0040A730, b"".join(encode_endless_item(encode_text(t)) for t in "abc"))
    )

    @pytest.mark.parametrize("value", [SHORT * 2, ENDLESS * 2, SHORT + ENDLESS, ENDLESS + SHORT])
    def test_wherever_it_is_cut_it_is_a_sequence(self, value: bytes) -> None:
        counts = []
        for stop in range(len(value) + 1):
            items = parse_items(cut_sequence(value[:stop], Encoding()), Encoding())
            counts.append(sum(len(item.sequences.get(0x0040A730, ())) for item in items))

        assert counts == sorted(counts)
        assert [*dict.fromkeys(counts)] == list(range(7))

    def test_half_a_value_is_left_out(self) -> None:
        value = encode_item(encode_text("a text that is cut"))

        (item,) = parse_items(cut_sequence(value[:-6], Encoding()), Encoding())

        assert 0x0040A160 not in item.elements
        assert item.elements[0x0040A040].value == b"TEXT"

    @pytest.mark.parametrize("levels", [3, 10_000])
    def test_any_depth_is_cut_in_time(self, levels: int) -> None:
        value = encode_item(encode_element(0x0040A040, "CS", b"NUM"))[:-4]
        head = encode_item(b"")[:-4] + UNTOLD + encode_element(0x0040A730, "SQ", b"")[:-4] + UNTOLD

        parse_items(cut_sequence(head * levels + value, Encoding()), Encoding())


class TestReports:
    @pytest.mark.parametrize("outer", [encode_item, encode_endless_item])
    def test_the_first_groups_are_drawn_with_a_note(
        self, outer: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cut, "LONGEST_VALUE", 1 << 18)
        groups = b"".join(encode_group(encode_number(f"{number}")) for number in range(2_000))
        content = outer(encode_text("all") + encode_element(0x0040A730, "SQ", groups))

        image = preview(write_report(tmp_path, content), SMALL)

        assert image.drawn_as == "card"
        assert any("only the first part is read" in note for note in image.notes)
        assert 500 < (image.n_items or 0) < 2_000

    def test_shorter_ones_are_read_whole(self, tmp_path: Path) -> None:
        image = preview(write_report(tmp_path, encode_group(encode_number("1")) * 900), SMALL)

        assert image.n_items == 900
        assert image.notes == ()


class TestStructures:
    def test_regions_beyond_the_limit_have_no_contours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cut, "LONGEST_VALUE", 1 << 20)
        regions = [encode_region(number, 10, 5_000) for number in (1, 2, 3)]

        image = preview(write_structures(tmp_path, regions), SMALL)

        assert image.n_items == 3
        assert image.summary is not None
        assert "Region 1 ·  · 1 · 50,000" in image.summary
        assert any("Region 3" in line and "no contours" in line for line in image.summary)
        assert any("(3006,0039)" in note and "only the first part is read" in note for note in image.notes)

    def test_a_contour_that_reaches_beyond_32_mebibytes_is_left_out(self, tmp_path: Path) -> None:
        begin = time.process_time()

        image = preview(write_structures(tmp_path, [encode_region(1, 2, 50), encode_region(2, 1, 3_300_000)]), SMALL)

        assert time.process_time() - begin < SECONDS
        assert image.summary is not None
        assert "Region 1 ·  · 1 · 100" in image.summary
        assert any("Region 2" in line and "no contours" in line for line in image.summary)
        assert f"(3006,0039) {NOTE}" in image.notes


class TestTexts:
    @pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
    @pytest.mark.parametrize("before", ["", "a", "ab"])
    def test_the_first_letters_of_a_text_are_kept_and_the_image_is_drawn(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, before: str
    ) -> None:
        monkeypatch.setattr(cut, "LONGEST_VALUE", 1 << 18)
        text = before + "€" * 200_000
        image = add_pixels(make_dataset(SpecificCharacterSet="ISO_IR 192", TextValue=text, Rows=4, Columns=4))
        (tmp_path / "a.dcm").write_bytes(write_dataset(image, syntax))

        drawn = preview(tmp_path, SMALL)
        kept = load_index(tmp_path).texts("TextValue")[0]

        assert drawn.drawn_as == "image"
        assert [note for note in drawn.notes if "(0040,A160) longer than 0 MiB" in note]
        assert not [note for note in drawn.notes if "character" in note]
        assert text.startswith(kept)
        assert (1 << 18) - 6 < len(kept.encode()) <= 1 << 18
