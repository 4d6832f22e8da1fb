"""An element of the wrong type or number in one instance is that instance's alone: the series stays whole."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from data_folder import DATA, needs_data
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from written_objects import add_pixels, gather_headers, make_dataset, write_dataset

from dsp_batch.errors import DspBatchError
from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import parse_index, serialize_index
from dsp_batch.index.representations import unite_representations
from dsp_batch.model.series import RawElement, SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.phantom.series import build_ct, write_collection
from dsp_batch.pipeline import describe_index, index_series, render_preview
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store

GOOD = 3
WRONG = {
    "FD": lambda: 2.5,
    "US": lambda: [1, 2],
    "AT": lambda: 0x00100010,
    "UT": lambda: "a text",
    "OB": lambda: b"\x04\x00",
    "IS": lambda: "7" * 12,
    "SQ": lambda: Sequence([make_dataset()]),
}
PLACES = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "SpecificCharacterSet"),
    *("Rows", "Columns", "BitsAllocated", "NumberOfFrames", "PixelSpacing", "WindowCenter", "WindowWidth"),
    *("InstanceNumber", "SliceLocation", "ImagePositionPatient", "ImageOrientationPatient"),
    *("AcquisitionTime", "ContentTime", "TriggerTime", "AcquisitionDateTime", "TemporalPositionIndex"),
    *("FrameTime", "FrameTimeVector", "GridFrameOffsetVector"),
    *("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "DetectorInformationSequence"),
]


def make_slice(number: int) -> Dataset:
    dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.2.{number}", InstanceNumber=number, SeriesInstanceUID="1.2"))
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, -number]
    dataset.NumberOfFrames = 1
    return dataset


def spoil(dataset: Dataset, keyword: str, vr: str) -> bytes:
    """Write a slice in which one element is encoded as another kind of value, which pydicom would not write."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    wrong = Dataset()
    wrong.add_new(0x00181000, vr, WRONG[vr]())
    encoded = {element.tag: write_element(element.tag, element.VR, element.value) for element in dataset}
    encoded[BaseTag(tag)] = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + write_dataset(wrong, meta=False)[4:]
    return b"".join(encoded[each] for each in sorted(encoded))


def write_element(tag: int, vr: str, value: object) -> bytes:
    alone = Dataset()
    alone.add_new(tag, vr, value)
    if vr in ("OW", "OB"):
        alone.add_new(0x00280100, "US", 16)
        return write_dataset(alone, meta=False)[10:]
    return write_dataset(alone, meta=False)


@pytest.mark.parametrize("vr", WRONG)
@pytest.mark.parametrize("keyword", PLACES)
def test_a_value_of_the_wrong_type_costs_its_own_instance_at_most(keyword: str, vr: str, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(GOOD):
        (folder / f"{number}.dcm").write_bytes(write_dataset(make_slice(number)))
    (folder / "wrong.dcm").write_bytes(spoil(make_slice(GOOD), keyword, vr))
    store = Store(str(tmp_path))

    index = index_series(SeriesRef(root=store.root, series_uuid="series"), store, None)
    image = render_preview(index, FrameSource(store=store), MosaicOptions(tile_width=2), ".webp")
    reread = parse_index(serialize_index(index, "1"))

    assert image.n_tiles + len(image.failures) >= GOOD
    assert image.n_tiles >= GOOD
    assert describe_index(reread) == describe_index(index)
    assert render_preview(reread, FrameSource(store=store), MosaicOptions(tile_width=2), ".webp").data == image.data


@pytest.mark.parametrize("vr", ["FD", "OB", "SQ"])
@pytest.mark.parametrize("keyword", PLACES)
def test_a_lone_instance_with_a_value_of_the_wrong_type_is_drawn_or_refused(
    keyword: str, vr: str, tmp_path: Path
) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / "wrong.dcm").write_bytes(spoil(make_slice(GOOD), keyword, vr))
    store = Store(str(tmp_path))
    index = index_series(SeriesRef(root=store.root, series_uuid="series"), store, None)

    with suppress(DspBatchError):
        render_preview(index, FrameSource(store=store), MosaicOptions(tile_width=2), ".webp")


def test_what_is_read_otherwise_and_what_is_left_out_is_noted() -> None:
    slices = [make_slice(number) for number in range(GOOD)]
    wrong = make_slice(GOOD)
    wrong.add_new(0x00180050, "SQ", Sequence([make_dataset()]))
    for each in slices:
        each.SliceThickness = 3
    wrong.NumberOfFrames = 2_000_000_000

    objects = [*map(write_dataset, slices), spoil(wrong, "Rows", "OB")]
    index = build_index(gather_headers(objects))

    assert index.values("Rows") == [4] * 4
    assert sorted(index.values("SliceThickness"), key=str) == [3.0, 3.0, 3.0, None]
    assert index.notes == (
        "Number of Frames is left out: 32 bytes cannot hold 2000000000 frames",
        "SliceThickness is encoded as SQ in 1 object: it is left out",
        "Rows is encoded as OB in 1 object: it is read as US",
    )


@given(
    st.lists(st.sampled_from(["US", "SS", "OB", "OW", "SQ", "UN", "LO", None]), min_size=1, max_size=6),
    st.sampled_from([0x00280010, 0x00111001, 0x00081140, 0x00282000]),
)
@settings(deadline=None)
def test_united_elements_are_of_one_kind_and_keep_their_values(vrs: list[str | None], tag: int) -> None:
    value = struct.pack("<H", 5)
    elements = [None if vr is None else RawElement(vr, value, 2) for vr in vrs]

    united, notes = unite_representations(tag, elements)

    kinds = {"SQ": "sequence", "OB": "bytes", "OW": "bytes"}
    present = {each.vr for each in united if each is not None and each.vr != "UN"}
    assert len({kinds.get(vr, "value") for vr in present}) <= 1
    assert all(each is None or each.value == value for each in united)
    lost = sum(each is None for each in united) - vrs.count(None)
    assert bool(notes) == (united != elements)
    assert lost == 0 or any(note.endswith("left out") for note in notes)


HOSTILE = [
    "sop-class-two-values",
    "sop-class-two-values-no-pixels",
    "sop-instance-as-double",
    "window-of-400-digits",
    "number-of-frames-as-sequence",
    "character-set-rot13",
    "transfer-syntax-with-escapes",
]


@needs_data
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_object_beside_good_ones_never_costs_the_series(name: str, tmp_path: Path) -> None:
    series = build_ct(count=3, size=32)
    write_collection(tmp_path, [series])
    hostile = (DATA / "hostile" / f"{name}.dcm").read_bytes()
    (tmp_path / series.series_uuid / "zz.dcm").write_bytes(hostile)
    store = Store(str(tmp_path))

    index = index_series(SeriesRef(root=store.root, series_uuid=series.series_uuid), store, None)
    image = render_preview(index, FrameSource(store=store), MosaicOptions(), ".webp")

    assert image.n_tiles >= 3
    lines: list[Any] = [*image.notes, *image.failures]
    assert all("\n" not in line for line in lines)
