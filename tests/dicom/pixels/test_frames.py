from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
import pytest
from datasets import DATA, attributes_of, make_pixels, needs_data, read_source
from hypothesis import given
from hypothesis import strategies as st

from dsp_batch.dicom.headers import inflate
from dsp_batch.dicom.pixels import fragments
from dsp_batch.dicom.pixels.fragments import FrameBytes
from dsp_batch.dicom.pixels.frames import PixelSource, parse_offset_table, read_frames
from dsp_batch.errors import PixelError
from dsp_batch.model.ranges import ByteRange, Reply, read_bytes

JPEG = "1.2.840.10008.1.2.4.50"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
RLE = "1.2.840.10008.1.2.5"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
PREFIX, SUFFIX = b"header" * 20, b"\xfe\xff\xdd\xe0\0\0\0\0"


def item(data: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(data)) + data


def make_frame(number: int, size: int = 40) -> bytes:
    """Bytes that begin as a JPEG codestream does."""
    return b"\xff\xd8\xff" + bytes([number % 251]) * (size - 3)


def encapsulate(table: Sequence[int], pieces: Sequence[bytes], suffix: bytes = SUFFIX) -> bytes:
    return PREFIX + item(struct.pack(f"<{len(table)}L", *table)) + b"".join(map(item, pieces)) + suffix


def offsets_of(pieces: Sequence[bytes]) -> list[int]:
    return [sum(len(piece) + 8 for piece in pieces[:number]) for number in range(len(pieces))]


def make_source(data: bytes, count: int, uid: str = JPEG, **fields: Any) -> PixelSource:
    pixels = make_pixels((4, 6), transfer_syntax_uid=uid, number_of_frames=count)
    return PixelSource(**{"pixels": pixels, "size": len(data), "fragments_offset": len(PREFIX)} | fields)


def read_counted(source: PixelSource, frames: Sequence[int], data: bytes) -> tuple[FrameBytes, list[list[ByteRange]]]:
    """Frames, and the ranges that were asked for step by step."""
    steps: list[list[ByteRange]] = []
    reader = read_frames(source, frames)
    try:
        ranges = next(reader)
        while True:
            steps.append(list(ranges))
            ranges = reader.send(Reply([data[r.start : r.stop] for r in ranges], len(data)))
    except StopIteration as stop:
        return stop.value, steps


def count_bytes(steps: list[list[ByteRange]], size: int) -> int:
    return sum(min(r.stop, size) - r.start for step in steps for r in step)


FRAMES = [make_frame(number, 40 + 2 * number) for number in range(6)]


class TestNative:
    def test_frames_are_found_by_arithmetic(self) -> None:
        stored = np.arange(5 * 4 * 6, dtype="<u2").reshape(5, 4, 6)
        data = PREFIX + stored.tobytes()
        source = make_source(
            data,
            5,
            "1.2.840.10008.1.2.1",
            fragments_offset=None,
            pixel_data_offset=len(PREFIX),
            pixel_data_length=stored.nbytes,
        )

        found, steps = read_counted(source, [3, 1], data)

        assert found == {3: stored[3].tobytes(), 1: stored[1].tobytes()}
        assert len(steps) == 1
        assert count_bytes(steps, len(data)) == 2 * 48

    @given(rows=st.integers(1, 9), columns=st.integers(1, 9), count=st.integers(1, 6), data=st.data())
    def test_frames_of_one_bit_begin_anywhere_in_a_byte(
        self, rows: int, columns: int, count: int, data: st.DataObject
    ) -> None:
        bits = np.array(
            data.draw(st.lists(st.booleans(), min_size=rows * columns * count, max_size=rows * columns * count))
        )
        packed = np.packbits(bits, bitorder="little").tobytes()
        pixels = make_pixels((rows, columns), bits_stored=1, bits_allocated=1, number_of_frames=count)
        source = PixelSource(pixels=pixels, size=len(packed), pixel_data_offset=0, pixel_data_length=len(packed))
        frame = data.draw(st.integers(0, count - 1))

        found = read_bytes(read_frames(source, [frame]), packed)[frame]

        assert not isinstance(found, PixelError)
        unpacked = np.unpackbits(np.frombuffer(found, np.uint8), bitorder="little")[: rows * columns]
        assert unpacked.tolist() == bits[frame * rows * columns : (frame + 1) * rows * columns].tolist()

    def test_a_cut_object_loses_only_the_frames_that_are_cut(self) -> None:
        data = PREFIX + bytes(48 * 2 + 10)
        source = make_source(
            data, 4, "1.2.840.10008.1.2", fragments_offset=None, pixel_data_offset=len(PREFIX), pixel_data_length=192
        )

        found, _ = read_counted(source, range(4), data)

        assert [type(found[frame]) for frame in range(4)] == [bytes, bytes, PixelError, PixelError]
        assert "frame 3 of 4" in str(found[2])

    def test_a_gigabyte_claim_in_a_small_object_reads_nothing(self) -> None:
        pixels = make_pixels((30000, 30000))
        source = PixelSource(pixels=pixels, size=1000, pixel_data_offset=500, pixel_data_length=1_800_000_000)

        found, steps = read_counted(source, [0], bytes(1000))

        assert isinstance(found[0], PixelError)
        assert steps == []

    @pytest.mark.parametrize("vr", [b"OW", b"OB"])
    def test_big_endian_words_of_bytes_are_exchanged(self, vr: bytes) -> None:
        values = bytes(range(15))  # three frames of five pixels, an odd number
        stored = values + b"\0"
        if vr == b"OW":
            stored = np.frombuffer(stored, "<u2").byteswap().tobytes()
        data = PREFIX + b"\x7f\xe0\x00\x10" + vr + b"\0\0\0\0\0\x10" + stored
        pixels = make_pixels((1, 5), bits_stored=8, number_of_frames=3, transfer_syntax_uid=BIG_ENDIAN)
        source = PixelSource(pixels=pixels, size=len(data), pixel_data_offset=len(PREFIX) + 12, pixel_data_length=16)

        found, _ = read_counted(source, [0, 1, 2], data)

        assert [found[frame] for frame in range(3)] == [values[:5], values[5:10], values[10:]]

    def test_ybr_full_422_has_two_samples_a_pixel_unless_all_three_are_there(self) -> None:
        for samples in (2, 3):
            data = bytes(4 * 6 * samples * 2)
            pixels = make_pixels((4, 6, 3), bits_stored=8, photometric="YBR_FULL_422", number_of_frames=2)
            source = PixelSource(pixels=pixels, size=len(data), pixel_data_offset=0, pixel_data_length=len(data))

            _, steps = read_counted(source, [1], data)

            assert steps == [[ByteRange(24 * samples, 48 * samples)]]

    def test_a_frame_number_beyond_the_object_is_an_error_of_that_frame(self) -> None:
        data = bytes(48)
        source = PixelSource(pixels=make_pixels((4, 6)), size=48, pixel_data_offset=0, pixel_data_length=48)

        found, _ = read_counted(source, [0, 1], data)

        assert found[0] == data
        assert "frame 2 is not among its 1 frames" in str(found[1])

    def test_an_object_without_pixels_is_an_error(self) -> None:
        source = PixelSource(pixels=make_pixels((4, 6)), size=48)

        with pytest.raises(PixelError) as caught:
            read_bytes(read_frames(source, [0]), bytes(48))

        assert caught.value.reason == "no-pixels"


class TestDeflated:
    @staticmethod
    def make(stored: np.ndarray[Any, Any]) -> bytes:
        dataset = b"\x28\x00\x10\x00US\x02\x00\x04\x00" + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", stored.nbytes)
        deflater = zlib.compressobj(wbits=-15)
        meta = b"\x02\x00\x10\x00UI\x16\x00" + DEFLATED.encode()
        group = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<L", len(meta))
        body = deflater.compress(dataset + stored.tobytes()) + deflater.flush()
        return bytes(128) + b"DICM" + group + meta + body

    def test_frames_lie_natively_within(self) -> None:
        stored = np.arange(3 * 24, dtype="<u2").reshape(3, 4, 6)
        data = self.make(stored)
        source = make_source(data, 3, DEFLATED, fragments_offset=None)

        found, _ = read_counted(source, [2], data)

        assert found == {2: stored[2].tobytes()}

    @pytest.mark.parametrize("kept", [40, 4000, 1 << 20])
    def test_frames_are_the_same_however_much_of_the_dataset_is_kept(
        self, monkeypatch: pytest.MonkeyPatch, kept: int
    ) -> None:
        monkeypatch.setattr(inflate, "MAX_INFLATED_HEADER", kept)
        monkeypatch.setattr(inflate, "_PIECE", 1000)
        stored = np.random.default_rng(1).integers(0, 999, (100, 4, 6)).astype("<u2")
        data = self.make(stored)

        found, _ = read_counted(make_source(data, 100, DEFLATED, fragments_offset=None), [99, 0, 57], data)

        assert found == {frame: stored[frame].tobytes() for frame in (99, 0, 57)}

    def test_of_a_deflated_object_no_more_is_held_than_is_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inflate, "MAX_INFLATED_HEADER", 1 << 20)
        data = self.make(np.zeros((1 << 20, 4, 6), "<u2"))
        source = make_source(data, 1 << 20, DEFLATED, fragments_offset=None)
        tracemalloc.start()

        found = read_bytes(read_frames(source, [1_000_000]), data)

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == {1_000_000: bytes(48)}
        assert peak < 10 << 20

    def test_pixels_that_are_deflated_to_less_than_is_claimed_are_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inflate, "MAX_INFLATED_HEADER", 100)
        data = self.make(np.zeros((300, 4, 6), "<u2"))[:-2]

        with pytest.raises(PixelError, match="cut off"):
            read_bytes(read_frames(make_source(data, 300, DEFLATED, fragments_offset=None), [0]), data)

    def test_a_damaged_stream_is_an_error(self) -> None:
        data = self.make(np.zeros((3, 4, 6), "<u2"))[:-4]

        with pytest.raises(PixelError, match="cut off"):
            read_bytes(read_frames(make_source(data, 3, DEFLATED, fragments_offset=None), [0]), data)


class TestEncapsulated:
    @pytest.mark.parametrize("has_table", [True, False])
    def test_a_fragment_a_frame(self, *, has_table: bool) -> None:
        data = encapsulate(offsets_of(FRAMES) if has_table else [], FRAMES)

        found, _ = read_counted(make_source(data, 6), range(6), data)

        assert [found[frame] for frame in range(6)] == FRAMES

    @pytest.mark.parametrize("has_table", [True, False])
    @pytest.mark.parametrize("has_delimiter", [True, False])
    def test_several_fragments_a_frame(self, *, has_table: bool, has_delimiter: bool) -> None:
        pieces = [frame[start : start + 14] for frame in FRAMES for start in range(0, len(frame), 14)]
        starts = [number for number, piece in enumerate(pieces) if piece.startswith(b"\xff\xd8\xff")]
        table = [offsets_of(pieces)[number] for number in starts] if has_table else []
        data = encapsulate(table, pieces, SUFFIX if has_delimiter else b"")

        found, _ = read_counted(make_source(data, 6), [0, 2, 5], data)

        assert found == {frame: FRAMES[frame] for frame in (0, 2, 5)}

    def test_a_single_frame_is_all_its_fragments_in_one_request(self) -> None:
        pieces = [b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe0", b"abcd"]
        data = encapsulate([], pieces)

        found, steps = read_counted(make_source(data, 1), [0], data)

        assert found == {0: b"".join(pieces)}
        assert len(steps) == 1

    @pytest.mark.parametrize(
        "table",
        [
            [0, 0, 0, 0, 0, 0],
            [1, 2, 3, 4, 5, 6],
            [1_000_000_000] * 6,
            [4_000_000_000, 3_000_000_000, 5, 4, 3, 2],
            [0, 48],
            [0, 48, 98, 150, 204, 261],  # the last one is off
        ],
        ids=["zeros", "no items", "beyond the object", "falling", "too short", "one wrong"],
    )
    def test_a_wrong_table_is_found_out(self, table: list[int]) -> None:
        data = encapsulate(table, FRAMES)

        found, _ = read_counted(make_source(data, 6), range(6), data)

        assert [found[frame] for frame in range(6)] == FRAMES

    def test_offsets_beyond_32_bit_run_over_and_are_read_so(self) -> None:
        """The table's numbers only: nobody makes a 4 GB object for a test."""
        layout = fragments.Encapsulation(start=0, end=20 << 30, number_of_frames=3)
        reader = fragments.read_fragments(layout, [1, 2])
        next(reader)
        table = item(struct.pack("<3L", 0, 3 << 30, (6 << 30) % (1 << 32)))

        ranges = reader.send(Reply([table], 20 << 30))

        assert [r.start for r in ranges] == [len(table) + (3 << 30), len(table) + (6 << 30)]

    def test_the_extended_table_goes_first(self) -> None:
        data = encapsulate([], FRAMES)
        source = make_source(data, 6, frame_offsets=tuple(offsets_of(FRAMES)), frame_lengths=tuple(map(len, FRAMES)))

        found, steps = read_counted(source, [1, 4], data)

        assert found == {1: FRAMES[1], 4: FRAMES[4]}
        assert len(steps) == 1
        assert count_bytes(steps, len(data)) == sum(len(FRAMES[frame]) + 8 for frame in (1, 4))

    def test_a_wrong_extended_table_gives_way_to_the_basic_one(self) -> None:
        data = encapsulate(offsets_of(FRAMES), FRAMES)
        source = make_source(data, 6, frame_offsets=(3,) * 6, frame_lengths=(10**12,) * 6)

        found, _ = read_counted(source, [5], data)

        assert found == {5: FRAMES[5]}

    def test_fragments_of_an_unknown_codec_are_frames_when_their_numbers_agree(self) -> None:
        pieces = [zlib.compress(bytes([number] * 30)) for number in range(6)]
        data = encapsulate([], pieces)

        found, _ = read_counted(make_source(data, 6, DEFLATED_FRAMES), range(6), data)
        unknown, _ = read_counted(make_source(data, 4, DEFLATED_FRAMES), range(4), data)

        assert [found[frame] for frame in range(6)] == pieces
        assert all("unknown without offset table" in str(unknown[frame]) for frame in range(4))

    def test_rle_frames_are_told_by_their_header(self) -> None:
        frames = [struct.pack("<16L", 1, 64, *[0] * 14) + bytes([number] * 20) for number in range(4)]
        pieces = [piece for frame in frames for piece in (frame[:50], frame[50:])]
        data = encapsulate([], pieces)

        found, _ = read_counted(make_source(data, 4, RLE), range(4), data)

        assert [found[frame] for frame in range(4)] == frames

    def test_a_cut_object_loses_only_the_frames_that_are_cut(self) -> None:
        for table in (offsets_of(FRAMES), []):
            data = encapsulate(table, FRAMES)[:-95]

            found, _ = read_counted(make_source(data, 6), range(6), data)

            assert [found[frame] for frame in range(4)] == FRAMES[:4]
            assert all(isinstance(found[frame], PixelError) for frame in (4, 5))
            assert "frame 6 of 6" in str(found[5])

    def test_damage_between_items_loses_the_frames_behind_it(self) -> None:
        data = bytearray(encapsulate([], FRAMES))
        offset = data.index(item(FRAMES[3]))
        data[offset : offset + 4] = b"oops"

        found, _ = read_counted(make_source(data, 6), range(6), bytes(data))

        assert [isinstance(found[frame], bytes) for frame in range(6)] == [True] * 3 + [False] * 3

    def test_an_empty_frame_is_an_error_of_that_frame(self) -> None:
        pieces = [*FRAMES[:2], b"", *FRAMES[3:]]
        for table in (offsets_of(pieces), []):
            data = encapsulate(table, pieces)

            found, _ = read_counted(make_source(data, 6), range(6), data)

            assert isinstance(found[2], PixelError)
            assert found[3] == FRAMES[3]

    def test_pixel_data_that_is_not_encapsulated_is_an_error(self) -> None:
        for count in (1, 3):
            with pytest.raises(PixelError, match="does not begin with an item"):
                read_bytes(read_frames(make_source(bytes(500), count), [0]), bytes(500))

    def test_items_in_an_element_of_defined_length_are_read(self) -> None:
        data = encapsulate([], FRAMES, b"")
        source = make_source(
            data + b"trailing", 6, fragments_offset=None, pixel_data_offset=120, pixel_data_length=len(data) - 120
        )

        found, _ = read_counted(source, [5], data + b"trailing")

        assert found == {5: FRAMES[5]}

    def test_a_bare_codestream_is_the_only_frame(self) -> None:
        data = PREFIX + FRAMES[0]
        fields = {"fragments_offset": None, "pixel_data_offset": 120, "pixel_data_length": len(FRAMES[0])}

        found, _ = read_counted(make_source(data, 1, **fields), [0], data)

        assert found == {0: FRAMES[0]}
        with pytest.raises(PixelError, match="not encapsulated"):
            read_bytes(read_frames(make_source(data, 2, **fields), [0]), data)

    @given(
        sizes=st.lists(st.integers(4, 60), min_size=2, max_size=12),
        cuts=st.integers(3, 30),
        table=st.sampled_from(["basic", "extended", "none"]),
        data=st.data(),
    )
    def test_frames_come_back_however_they_are_fragmented(
        self, sizes: list[int], cuts: int, table: str, data: st.DataObject
    ) -> None:
        frames = [make_frame(number, size) for number, size in enumerate(sizes)]
        step = 1000 if table == "extended" else cuts
        pieces = [frame[start : start + step] for frame in frames for start in range(0, len(frame), step)]
        starts = [o for o, piece in zip(offsets_of(pieces), pieces, strict=True) if piece.startswith(b"\xff\xd8\xff")]
        stored = encapsulate(starts if table == "basic" else [], pieces)
        extended = {"frame_offsets": tuple(starts), "frame_lengths": tuple(sizes)} if table == "extended" else {}
        wanted = data.draw(st.lists(st.integers(0, len(frames) - 1), min_size=1, unique=True))

        found, _ = read_counted(make_source(stored, len(frames), **extended), wanted, stored)

        assert found == {frame: frames[frame] for frame in wanted}


class TestCost:
    """One frame of a large object costs that frame's bytes, and a table once."""

    @pytest.mark.parametrize("count", [30, 1250])
    def test_a_table_costs_four_bytes_a_frame(self, count: int) -> None:
        frames = [make_frame(number, 3000) for number in range(count)]
        data = encapsulate(offsets_of(frames), frames)

        found, steps = read_counted(make_source(data, count), [count // 2], data)

        assert found[count // 2] == frames[count // 2]
        assert len(steps) == 2
        assert count_bytes(steps, len(data)) == 8 + 4 * count + 3008

    def test_large_fragments_are_walked_by_their_headers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fragments, "LARGE_FRAGMENT", 2000)
        frames = [make_frame(number, 3000) for number in range(30)]
        data = encapsulate([], frames)

        found, steps = read_counted(make_source(data, 30), [9], data)

        assert found == {9: frames[9]}
        assert count_bytes(steps, len(data)) <= 8 + 4 * 30 + 11 * 32 + 3008
        assert len(steps) == 1 + 11 + 1

    def test_small_fragments_are_walked_in_blocks_that_are_not_read_twice(self) -> None:
        frames = [make_frame(number, 3000) for number in range(30)]
        data = encapsulate([], frames)

        found, steps = read_counted(make_source(data, 30), [0, 29], data)

        assert found == {0: frames[0], 29: frames[29]}
        assert len(steps) == 2
        assert count_bytes(steps, len(data)) <= len(data)

    def test_the_walk_stops_behind_the_last_wanted_frame(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fragments, "BLOCK", 5000)
        frames = [make_frame(number, 3000) for number in range(300)]
        data = encapsulate([], frames)

        _, steps = read_counted(make_source(data, 300), [3], data)

        assert count_bytes(steps, len(data)) < 30_000


def test_an_offset_table_is_read_from_the_header() -> None:
    dataset = pydicom.Dataset()
    dataset.ExtendedOffsetTable = struct.pack("<3Q", 0, 5_000_000_000, 6_000_000_000)

    assert parse_offset_table(attributes_of(dataset), "ExtendedOffsetTable") == (0, 5_000_000_000, 6_000_000_000)
    assert parse_offset_table(attributes_of(dataset), "ExtendedOffsetTableLengths") == ()


@needs_data
@pytest.mark.parametrize(
    "pattern", ["codecs/multiframe/*", "series/eb6f5d50*/*", "series/e5298e42*/*", "series/3f7685ed*/*"]
)
def test_frames_of_real_objects_are_those_of_pydicom(pattern: str) -> None:
    for path in sorted(DATA.glob(pattern)):
        dataset = pydicom.dcmread(path)
        if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            continue
        count = int(dataset.NumberOfFrames)
        _, source, data = read_source(path)

        found, _ = read_counted(source, range(count), data)

        expected = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=count))
        assert [found[frame] for frame in range(count)] == expected
