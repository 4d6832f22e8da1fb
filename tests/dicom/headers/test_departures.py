"""Headers whose bytes contradict what they declare: the bytes decide, and a note says so."""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Any

import pytest
from data_folder import DATA, needs_data, parse_file
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from written_objects import DEFLATED, NATIVE_SYNTAXES, add_pixels, make_dataset, parse_object, write_dataset

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.errors import HeaderError, SeriesError
from dsp_batch.fetch import HeaderMeter
from dsp_batch.model.ranges import ByteRange, Reply, read_bytes
from dsp_batch.model.series import InstanceHeader

REPORTS, HOSTILE = DATA / "reports", DATA / "hostile"


def make_plain() -> Dataset:
    return add_pixels(make_dataset(PatientName="A^B", StudyDescription="something", PixelSpacing=[0.5, 0.5]))


def attributes_of(header: InstanceHeader) -> Attributes:
    return HeaderDecoder(header).attributes()


def declare(data: bytes, declared: str, actual: str) -> bytes:
    """The object with another transfer syntax in its file meta information, of the same length."""
    old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (actual, declared))
    size = max(len(old), len(new))
    at = data.index(struct.pack("<HH2sH", 2, 16, b"UI", len(old)))
    meta_end = at + 8 + len(old)
    length_at = data.index(b"\x02\x00\x00\x00UL\x04\x00") + 8
    length = struct.unpack_from("<L", data, length_at)[0] + len(new) - len(old)
    head = data[:length_at] + struct.pack("<L", length) + data[length_at + 4 : at]
    return head + struct.pack("<HH2sH", 2, 16, b"UI", len(new)) + new[:size] + data[meta_end:]


def damage_vr(data: bytes, tag: int, vr: bytes) -> bytes:
    at = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF), 132)
    return data[: at + 4] + vr + data[at + 6 :]


class TestVR:
    @pytest.mark.parametrize("tail", [0, 3_000_000])
    @settings(deadline=None)  # the machine may be busy
    @given(vr=st.binary(min_size=2, max_size=2).filter(lambda vr: not vr.isalpha() and any(vr)), text=st.text("abc_"))
    def test_an_unknown_vr_with_a_short_length_hides_nothing(self, tail: int, vr: bytes, text: str) -> None:
        dataset = make_plain()
        dataset.AdditionalPatientHistory = text  # (0010,21B0) LT
        data = damage_vr(write_dataset(dataset), 0x001021B0, vr) + bytes(min(tail, 60_000))

        header = parse_object(data)

        assert attributes_of(header).integer("Rows") == 4
        assert (attributes_of(header).text("AdditionalPatientHistory") or "") == text.rstrip()
        assert header.notes == ("(0010,21B0) without a known VR: read with the length that leads to the next one",)

    @settings(deadline=None)  # the machine may be busy
    @given(st.sampled_from([b"ZZ", b"--", b"\0\0", b"OX"]), st.binary(min_size=2, max_size=300))
    def test_an_unknown_vr_with_a_long_length_hides_nothing(self, vr: bytes, value: bytes) -> None:
        dataset = make_plain()
        dataset.add_new(0x00190010, "LO", "VENDOR")
        dataset.add_new(0x00191001, "OB", value)

        header = parse_object(damage_vr(write_dataset(dataset), 0x00191001, vr))

        assert attributes_of(header).integer("Rows") == 4
        assert header.elements[0x00191001].value == value + b"\0" * (len(value) % 2)

    @settings(deadline=None)  # the machine may be busy
    @given(st.text("abc_", min_size=1))
    def test_an_element_without_vr_has_a_length_of_32_bits(self, text: str) -> None:
        dataset = make_plain()
        dataset.AdditionalPatientHistory = text
        data = write_dataset(dataset)
        at = data.index(b"\x10\x00\xb0\x21")
        length = struct.unpack_from("<H", data, at + 6)[0]

        header = parse_object(data[: at + 4] + struct.pack("<L", length) + data[at + 8 :])

        assert attributes_of(header).text("AdditionalPatientHistory") == (text.rstrip() or None)
        assert attributes_of(header).integer("Rows") == 4

    def test_an_unknown_vr_in_a_nested_dataset_hides_nothing(self) -> None:
        dataset = make_dataset(ReferencedImageSequence=[make_dataset(PatientName="A^B", PatientID="12")])
        data = damage_vr(write_dataset(add_pixels(dataset)), 0x00100010, b"--")

        (item,) = attributes_of(parse_object(data)).items("ReferencedImageSequence")

        assert (item.text("PatientName"), item.text("PatientID")) == ("A^B", "12")

    @needs_data
    def test_vr_two_dashes(self) -> None:
        header = parse_file(REPORTS / "vr-two-dashes" / "1.dcm")

        assert attributes_of(header).integer("Rows") == 64
        assert header.pixel_data_length == 64 * 64 * 2
        assert "(0010,21B0)" in header.notes[0]


class TestSequences:
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
    @pytest.mark.parametrize("is_private", [True, False])
    def test_a_damaged_sequence_hides_no_other_element(self, syntax: str, *, is_private: bool) -> None:
        tag = 0x00191001 if is_private else 0x00081140
        dataset = make_plain()
        dataset.add_new(0x00190010, "LO", "VENDOR")
        dataset.add_new(tag, "SQ", [make_dataset(PatientName="A^B"), make_dataset(PatientName="C^D")])
        dataset[tag].is_undefined_length = True
        data = write_dataset(dataset, syntax)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        at = data.rindex(struct.pack(f"{order}HH", 0xFFFE, 0xE000))

        header = parse_object(data[:at] + b"oops" + data[at + 4 :])

        assert attributes_of(header).integer("Rows") == 4
        assert attributes_of(header).text("PatientName") == "A^B"
        assert header.notes == (f"({tag >> 16:04X},{tag & 0xFFFF:04X}) with damaged items: left out",)


class TestDeflated:
    @pytest.mark.parametrize(
        ("compress", "note"),
        [
            (lambda data: zlib.compress(data, 1), "The deflated dataset has a zlib header"),
            (lambda data: zlib.compress(data, 9), "The deflated dataset has a zlib header"),
            (gzip.compress, "The deflated dataset has a gzip header"),
            (lambda data: data, "The dataset is not deflated, though it is declared so"),
        ],
    )
    def test_a_dataset_in_any_wrapper_or_in_none_is_read(self, compress: Any, note: str) -> None:
        whole = write_dataset(make_plain())
        plain = write_dataset(make_plain(), meta=False)
        meta = declare(whole, DEFLATED, ExplicitVRLittleEndian)[: -len(plain)]

        header = parse_object(meta + compress(plain))

        assert attributes_of(header).text("PatientName") == "A^B"
        assert header.notes == (note,)
        assert (header.pixel_data_offset is not None) == (compress(plain) == plain)

    @needs_data
    def test_deflate_zlib_header(self) -> None:
        header = parse_file(REPORTS / "deflate-zlib-header" / "1.dcm")

        assert attributes_of(header).integer("Rows") == 64
        assert header.notes == ("The deflated dataset has a zlib header",)

    def test_a_header_that_inflates_beyond_its_limit_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dsp_batch.dicom.headers.inflate.MAX_INFLATED_HEADER", 1 << 20)
        large = write_dataset(make_dataset(TextValue="x" * 2_000_000), DEFLATED)
        pixels = write_dataset(add_pixels(make_dataset(), frames=100, size=128), DEFLATED)

        with pytest.raises(HeaderError) as caught:
            parse_object(large)

        assert caught.value.reason == "too-large"
        assert 0x00280010 in parse_object(pixels).elements


class TestEncoding:
    @pytest.mark.parametrize("actual", NATIVE_SYNTAXES)
    @pytest.mark.parametrize("declared", NATIVE_SYNTAXES)
    def test_the_first_tag_tells_byte_order_and_vr(self, declared: str, actual: str) -> None:
        header = parse_object(declare(write_dataset(make_plain(), actual), declared, actual))

        assert attributes_of(header).integer("Rows") == 4
        assert header.big_endian == (actual == ExplicitVRBigEndian)
        assert bool(header.notes) == (declared != actual)
        is_swapped = (actual == ExplicitVRBigEndian) != (declared == ExplicitVRBigEndian)
        assert header.transfer_syntax_uid == (actual if is_swapped else declared)


class TestNumbers:
    @needs_data
    def test_ds_decimal_comma(self) -> None:
        header = parse_file(REPORTS / "ds-decimal-comma" / "1.dcm")
        attributes = attributes_of(header)

        assert len(attributes.numbers("ImagePositionPatient")) == 3
        assert attributes.number("WindowCenter") == 0.5
        assert header.notes[0].startswith("Numbers with a decimal comma are read with a point: (0020,0032)")

    @settings(deadline=None)  # the machine may be busy
    @given(st.floats(-1e6, 1e6).map(lambda number: round(number, 4)))
    def test_a_decimal_comma_is_a_point(self, number: float) -> None:
        dataset = make_dataset()
        dataset.add_new(0x00180050, "LO", str(number).replace(".", ","))
        data = write_dataset(dataset).replace(b"\x18\x00\x50\x00LO", b"\x18\x00\x50\x00DS")

        assert attributes_of(parse_object(data)).number("SliceThickness") == number

    @needs_data
    def test_window_of_400_digits(self) -> None:
        attributes = attributes_of(parse_file(HOSTILE / "window-of-400-digits.dcm"))

        assert attributes.number("WindowWidth") in (None, float("inf"))


class TestTexts:
    @needs_data
    def test_character_set_rot13(self) -> None:
        header = parse_file(HOSTILE / "character-set-rot13.dcm")

        assert attributes_of(header).text("PatientName") is not None
        assert header.notes == ("Specific Character Set 'rot13' is no defined term",)

    @pytest.mark.parametrize(
        "charset",
        ["ISO_IR 192", "ISO_IR 6", "rot13", "idna", "punycode", "hex", "no such", "", "\0", "ISO_IR 100\0\0x"],
    )
    def test_text_that_is_not_of_its_character_set_is_read_as_latin_1(self, charset: str) -> None:
        dataset = make_dataset(SpecificCharacterSet="ISO_IR 100", PatientName="Schädel^Großer")
        data = write_dataset(dataset)
        old = struct.pack("<HH2sH", 8, 5, b"CS", 10) + b"ISO_IR 100"
        padded = charset.encode() + b" " * (len(charset) % 2)
        data = data.replace(old, struct.pack("<HH2sH", 8, 5, b"CS", len(padded)) + padded)

        assert attributes_of(parse_object(data)).text("PatientName") == "Schädel^Großer"

    @needs_data
    def test_transfer_syntax_with_escapes(self) -> None:
        header = parse_file(HOSTILE / "transfer-syntax-with-escapes.dcm")

        assert header.transfer_syntax_uid.isprintable()


class TestTypes:
    @pytest.mark.parametrize(
        ("tag", "vr", "value", "note"),
        [
            (0x00080016, "UI", ["1.2", "1.3"], "SOP Class UID is left out: it has several values"),
            (0x00080016, "AT", 0x00280010, "SOP Class UID is left out: its VR is AT"),
            (0x00080018, "FD", 1.5, "SOP Instance UID is left out: its VR is FD"),
            (0x0020000E, "SQ", [Dataset()], "Series Instance UID is left out: its VR is SQ"),
            (0x00200013, "SQ", [Dataset()], "Instance Number is left out: its VR is SQ"),
            (0x00200013, "US", [1, 2], "Instance Number is left out: it has several values"),
            (0x00280008, "SQ", [Dataset()], "Number of Frames is left out: its VR is SQ"),
            (0x00280008, "IS", [1, 2], "Number of Frames is left out: it has several values"),
            (0x52009230, "LO", "text", "Per-Frame Functional Groups Sequence is left out: its VR is LO"),
        ],
    )
    def test_an_element_of_the_wrong_type_or_number_is_absent(self, tag: int, vr: str, value: Any, note: str) -> None:
        dataset = make_plain()
        dataset.add_new(tag, vr, value)

        header = parse_object(write_dataset(dataset, meta=False))

        assert tag not in header.elements
        assert header.notes == (note,)
        assert attributes_of(header).integer("Rows") == 4

    @pytest.mark.parametrize(("tag", "vr", "value"), [(0x00200013, "US", 92), (0x00280008, "LO", "1")])
    def test_another_vr_that_holds_the_same_is_right(self, tag: int, vr: str, value: Any) -> None:
        dataset = make_plain()
        dataset.add_new(tag, vr, value)

        header = parse_object(write_dataset(dataset))

        assert tag in header.elements
        assert header.notes == ()

    @needs_data
    @pytest.mark.parametrize(
        "name", ["sop-class-two-values", "sop-class-two-values-no-pixels", "sop-instance-as-double"]
    )
    def test_hostile_objects_lose_the_element_that_is_wrong(self, name: str) -> None:
        (note,) = parse_file(HOSTILE / f"{name}.dcm").notes

        assert " is left out: " in note


class TestClaims:
    @pytest.mark.parametrize(
        ("claimed", "size", "is_refused"),
        [(4096, 4096, False), (5000, 4096, True), (5000, 80_000, False), (1 << 15, 4096, True)],
    )
    def test_more_frames_than_there_is_any_use_for_are_refused(
        self, claimed: int, size: int, *, is_refused: bool
    ) -> None:
        dataset = make_plain()
        dataset.NumberOfFrames = claimed
        dataset.PixelData = bytes(size)
        data = write_dataset(dataset)

        if is_refused:
            with pytest.raises(HeaderError, match=f"{claimed} frames in {size} bytes") as caught:
                parse_object(data)
            assert caught.value.reason == "too-large"
        else:
            assert 0x00280008 in parse_object(data).elements

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DEFLATED])
    @pytest.mark.parametrize("has_pixels", [True, False])
    def test_more_frames_than_an_object_can_hold_are_no_number(self, syntax: str, *, has_pixels: bool) -> None:
        dataset = make_dataset(NumberOfFrames=90_000)
        if has_pixels:
            add_pixels(dataset).NumberOfFrames = 90_000

        header = parse_object(write_dataset(dataset, syntax))

        assert 0x00280008 not in header.elements
        (note,) = header.notes
        assert note.startswith("Number of Frames is left out: ")
        assert note.endswith("bytes cannot hold 90000 frames")

    def test_frames_without_pixels_are_weighed_by_the_whole_object(self) -> None:
        dataset = make_dataset(NumberOfFrames=90_000)
        dataset.add_new(0x00091001, "OB", bytes(20_000))

        with pytest.raises(HeaderError, match="claims 90000 frames"):
            parse_object(write_dataset(dataset))

    def test_frames_that_are_claimed_are_weighed_before_a_table_is_made_of_them(self) -> None:
        dataset = make_plain()
        dataset.NumberOfFrames = 4096
        dataset.PixelData = bytes(8192)
        data = write_dataset(dataset)
        meter = HeaderMeter(url="/root/series", count=2, limit=4_000_000)
        read_bytes(meter.weigh(read_header("a.dcm", len(data))), data)

        with pytest.raises(SeriesError, match="of the 2 objects") as caught:
            read_bytes(meter.weigh(read_header("b.dcm", len(data))), data)

        assert caught.value.reason == "out-of-memory"

    def test_what_a_deflated_header_grows_to_is_weighed(self) -> None:
        data = write_dataset(make_dataset(TextValue="x" * 1_000_000), DEFLATED)
        meter = HeaderMeter(url="/root/series", count=1, limit=900_000)

        with pytest.raises(SeriesError) as caught:
            read_bytes(meter.weigh(read_header("a.dcm", len(data))), data)

        assert caught.value.reason == "out-of-memory"

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_a_header_of_endless_elements_is_refused(self, syntax: str) -> None:
        head = write_dataset(make_dataset(), syntax)
        vr = b"LO\0\0" if syntax == ExplicitVRLittleEndian else bytes(4)
        elements = b"".join(
            struct.pack("<HH", group, number) + vr for group in (0x0019, 0x0021) for number in range(0x1000, 0xFFFF)
        )

        with pytest.raises(HeaderError, match="more than 65536 elements") as caught:
            parse_object(head + elements)

        assert caught.value.reason == "too-large"

    def test_a_sequence_of_undefined_length_is_walked_over_a_few_times(self) -> None:
        item = b"\xfe\xff\x00\xe0" + struct.pack("<L", 8) + struct.pack("<HH2sH", 8, 0x1150, b"LO", 0)
        head = write_dataset(make_dataset())
        sequence = struct.pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        data = head + sequence + item * 600_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"
        steps: list[ByteRange] = []
        reader = read_header("a.dcm", len(data))
        ranges = next(reader)
        try:
            while True:
                steps.extend(ranges)
                ranges = reader.send(Reply([data[part.start : part.stop] for part in ranges], len(data)))
        except StopIteration as stop:
            header: InstanceHeader = stop.value

        assert header.elements == read_bytes(read_header("a.dcm", len(data)), data).elements
        assert len(steps) <= 11
