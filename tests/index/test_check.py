"""A cached index is data from outside: it is checked before a byte of its series is read by it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_folder import DATA, needs_data
from hypothesis import given, settings
from hypothesis import strategies as st
from index_files import read_index_file
from written_objects import add_pixels, index_objects, make_dataset, write_dataset

from dsp_batch.cache import Cache, index_key
from dsp_batch.errors import DspBatchError, SeriesError
from dsp_batch.fetch import fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import METADATA_KEY, parse_index, serialize_index
from dsp_batch.model.object_names import decode_name, encode_name, is_object_name
from dsp_batch.model.series import ObjectInfo, SeriesRef
from dsp_batch.options import ImageOptions, IndexOptions
from dsp_batch.phantom.series import build_ct, write_collection
from dsp_batch.pipeline import describe_index, draw_series, render_preview
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store

MIDDLE = ImageOptions(position=0.5, image_width=16)


@pytest.fixture
def ref(tmp_path: Path) -> SeriesRef:
    series = build_ct(count=3, size=32)
    write_collection(tmp_path / "root", [series])
    (tmp_path / "secret").write_bytes(bytes(100_000))
    return SeriesRef(root=str(tmp_path / "root"), series_uuid=series.series_uuid)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(url=str(tmp_path / "cache"))


def change_index(data: bytes, columns: dict[str, pa.Array] | None = None, **description: Any) -> bytes:
    """An index file with other columns and another description; it has no checksum, as other programs write it."""
    table, told = read_index_file(data)
    told |= description
    for name, array in (columns or {}).items():
        if name in table.schema.names:
            table = table.set_column(table.schema.get_field_index(name), name, array)
        else:
            table = table.append_column(name, array)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(told).encode()}), sink)
    changed: bytes = sink.getvalue().to_pybytes()
    return changed


def repeat(value: Any, kind: pa.DataType) -> pa.Array:
    return pa.array([value] * 3, kind)


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "name that leads out": ({"FileName": repeat("../../secret", pa.string())}, {}),
    "absolute name": ({"FileName": repeat("/etc/passwd", pa.string())}, {}),
    "one object in all rows": ({"FileName": repeat("a.dcm", pa.string())}, {}),
    "name with NUL": ({"FileName": repeat("a\0b", pa.string())}, {}),
    "no name": ({"FileName": repeat(None, pa.string())}, {}),
    "no transfer syntax": ({"TransferSyntaxUID": repeat(None, pa.string())}, {}),
    "name that is a number": ({"FileName": repeat(5, pa.int64())}, {}),
    "offset that is a text": ({"PixelDataOffset": repeat("0", pa.string())}, {}),
    "offset below 0": ({"PixelDataOffset": repeat(-1, pa.int64())}, {}),
    "offset behind the object": ({"PixelDataOffset": repeat(1 << 40, pa.int64())}, {}),
    "length below 0": ({"PixelDataLength": repeat(-1, pa.int64())}, {}),
    "endless length": ({"PixelDataLength": repeat(1 << 62, pa.int64())}, {}),
    "fragments behind the object": ({"FragmentsOffset": repeat(1 << 40, pa.int64())}, {}),
    "no size": ({"ObjectSize": repeat(None, pa.int64())}, {}),
    "endless size": ({"ObjectSize": repeat(1 << 62, pa.int64()), "NumberOfFrames": repeat(1 << 60, pa.int64())}, {}),
    "2^40 frames": ({"NumberOfFrames": repeat(1 << 40, pa.int64())}, {}),
    "many frames of a large object": (
        {"NumberOfFrames": repeat(1 << 30, pa.int64()), "ObjectSize": repeat(1 << 40, pa.int64())},
        {},
    ),
    "structure": ({"Rows": pa.array([{"a": 1}] * 3)}, {}),
    "time": ({"Rows": repeat(5, pa.timestamp("s"))}, {}),
    "grid without layout": ({"GridSlices": repeat(4, pa.int32())}, {}),
    "constants that are a list": ({}, {"constants": []}),
    "constant that is a text": ({}, {"constants": {"00280010": "x"}}),
    "constant of no tag": ({}, {"constants": {"Rows": {"vr": "US", "Value": [4]}}}),
    "constant of no VR": ({}, {"constants": {"00280010": {"Value": [4]}}}),
    "constant that is nested": ({}, {"constants": {"00280010": {"vr": "US", "Value": [[4]]}}}),
    "constant of bad base64": ({}, {"constants": {"00280010": {"vr": "OB", "InlineBinary": "a"}}}),
    "sequence of texts": ({}, {"constants": {"00280010": {"vr": "SQ", "Value": ["a"]}}}),
    "series that is a number": ({}, {"series_uuid": 5}),
    "root that is a list": ({}, {"root": ["/"]}),
    "notes that are numbers": ({}, {"notes": [5]}),
    "another series": ({}, {"series_uuid": "../../elsewhere"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_index_that_is_not_to_be_believed_is_built_again_with_one_warning(
    ref: SeriesRef, cache: Cache, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    store, columns = Store(ref.root), CHANGES[change]
    drawn = draw_series(ref, store, cache, MIDDLE, ".webp")
    path = Path(cache.url_of(index_key(ref.series_uuid)))
    good = path.read_bytes()
    path.write_bytes(change_index(good, columns[0], **columns[1]))

    with caplog.at_level(logging.WARNING):
        again = draw_series(ref, store, cache, MIDDLE, ".webp")

    assert again.data == drawn.data
    (warning,) = [record.getMessage() for record in caplog.records]
    assert str(path) in warning
    assert warning.isprintable()
    assert path.read_bytes() == good


@needs_data
@pytest.mark.parametrize(
    "name", ["name-leads-out", "frames-2e40", "name-is-number", "offset-is-text", "constant-is-text"]
)
def test_a_hostile_index_is_not_readable_as_one(name: str) -> None:
    data = (DATA / "hostile" / f"index-{name}.parquet").read_bytes()

    with pytest.raises(SeriesError, match="not readable as an index"):
        parse_index(data)


@pytest.mark.parametrize("text", ["[", "5", '["a"]', '[{"00080018": 5}]', "[" * 100_000, '{"vr": 5, "Value": []}'])
def test_a_sequence_that_is_none_is_an_error_in_one_line(ref: SeriesRef, text: str) -> None:
    store = Store(ref.root)
    index = build_index(fetch_headers(ref, store, IndexOptions()))
    field = pa.field("SharedFunctionalGroupsSequence", pa.string(), metadata={"tag": "52009229", "vr": "SQ"})
    table = index.table.append_column(field, repeat(text, pa.string()))
    sink = pa.BufferOutputStream()
    metadata = pq.read_metadata(pa.BufferReader(serialize_index(index, "1"))).metadata
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: metadata[METADATA_KEY]}), sink)

    try:
        render_preview(parse_index(sink.getvalue().to_pybytes()), FrameSource(store=store), MIDDLE, ".webp")
    except DspBatchError as error:
        message = error.message
        assert "\n" not in message  # drawing it would do as well


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4))
models = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["vr", "Value", "InlineBinary", "00080018"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(
    model=models,
    tag=st.sampled_from(
        ["00280010", "00080008", "00200032", "00080018", "52009230", "00540022", "00281050", "00080060"]
    ),
    vr=st.sampled_from(["US", "SQ", "PN", "DS", "UI", "OB"]),
)
@settings(deadline=None)
def test_constants_of_any_shape_are_refused_or_read(model: Any, tag: str, vr: str) -> None:
    whole = index_objects(*(write_dataset(add_pixels(make_dataset(SOPInstanceUID=f"1.{n}"))) for n in range(3)))
    for element in (model, {"vr": vr, "Value": model}, {"vr": vr, "Value": [model]}, {"vr": vr, "InlineBinary": model}):
        data = change_index(serialize_index(whole, "1"), constants=whole.constants | {tag: element})
        try:
            index = parse_index(data)
            index.order  # noqa: B018  # frames are listed by it
            index.attributes(0).text("Modality")
        except DspBatchError:
            continue


KINDS = [pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.list_(pa.float64()), pa.list_(pa.string())]
COLUMNS = [
    *("FileName", "SOPInstanceUID", "TransferSyntaxUID", "NumberOfFrames", "ObjectSize", "PixelDataOffset"),
    *("InstanceNumber", "GridSlices", "SOPClassUID", "ImagePositionPatient", "AcquisitionTime", "Rows", "Modality"),
]


@given(name=st.sampled_from(COLUMNS), kind=st.sampled_from(KINDS), data=st.data())
@settings(deadline=None)
def test_columns_of_any_type_are_refused_or_read(name: str, kind: pa.DataType, data: st.DataObject) -> None:
    values = {
        pa.bool_(): st.booleans(),
        pa.float64(): st.floats(),
        pa.string(): st.sampled_from(["", "5", "[]", "{", "..", "a"]),
    }
    single = values.get(kind.value_type if pa.types.is_list(kind) else kind, st.integers(-(2**31), 2**31 - 1))
    column = st.lists(single, max_size=4) if pa.types.is_list(kind) else single
    array = pa.array(data.draw(st.lists(st.none() | column, min_size=3, max_size=3)), kind)
    whole = index_objects(*(write_dataset(add_pixels(make_dataset(SOPInstanceUID=f"1.{n}"))) for n in range(3)))

    try:
        index = parse_index(change_index(serialize_index(whole, "1"), {name: array}))
        assert len(index.order.permutation) >= 3
        assert describe_index(index)["n_instances"] == 3
    except DspBatchError as error:
        described = error.message
        assert described.isprintable()


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b.dcm"]), min_size=1, max_size=5))
def test_a_name_never_leads_out_of_a_folder(parts: list[str]) -> None:
    name = "/".join(parts)
    folder = Path("/root/series")

    if is_object_name(name):
        assert (folder / name).resolve().is_relative_to(folder)
        assert (folder / name).resolve() != folder
    assert is_object_name(name) == {"..", ".", ""}.isdisjoint(parts)


@given(st.lists(st.sampled_from(["\\", "udc5c", "udce4", "\udce4", "\udc80", "a", "/"]), max_size=6).map("".join))
def test_a_name_that_is_no_utf_8_is_kept_as_text_and_found_again(name: str) -> None:
    text = encode_name(name)

    assert text.encode("utf-8").decode("utf-8") == text
    assert decode_name(text) == name


def test_names_of_a_listing_that_lead_out_are_no_instances(ref: SeriesRef, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(ref.root)
    listed = store.list_objects(ref.series_uuid)
    monkeypatch.setattr(Store, "list_objects", lambda *_, **__: (*listed, ObjectInfo(name="../../secret", size=1000)))

    index = build_index(fetch_headers(ref, store, IndexOptions()))

    assert len(index) == 3
    assert index.notes == ("1 object is no instance: ../../secret: its name leads out of the folder",)
