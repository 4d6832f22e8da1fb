"""What is left out, or read otherwise than it is declared, is told: in the index, in the picture, in the row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_files import open_index_file
from written_objects import add_pixels, gather_headers, make_dataset, write_dataset

from dsp_batch.batch.cluster.tasks import build_shard_indices, fetch_shard_headers, render_shard
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_parts import build_table
from dsp_batch.cache import open_cache
from dsp_batch.errors import HeaderError
from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import parse_index, serialize_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.notes import MOST_CHARACTERS, MOST_NOTES, count_notes, gather_notes, join_notes
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import IndexOptions, MosaicOptions
from dsp_batch.phantom.series import build_ct, write_collection
from dsp_batch.pipeline import index_series, render_preview
from dsp_batch.render.compose import FrameSource
from dsp_batch.render.read import EncodedFrames
from dsp_batch.storage.store import Store

texts = st.text(max_size=2 * MOST_CHARACTERS)


@given(st.lists(texts, max_size=2 * MOST_NOTES))
def test_notes_are_few_short_lines_without_control_characters(notes: list[str]) -> None:
    gathered = gather_notes(notes)

    assert len(gathered) <= MOST_NOTES
    assert len(set(gathered)) == len(gathered)
    assert all(note.isprintable() and len(note) <= MOST_CHARACTERS for note in gathered)
    assert gather_notes(gathered) == gathered


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4).map(tuple), max_size=9))
def test_equal_notes_of_many_are_one_with_a_count(notes: list[tuple[str, ...]]) -> None:
    counted = count_notes(notes, "objects")

    for text in "abc":
        count = sum(text in each for each in notes)
        expected = {0: [], 1: [text]}.get(count, [f"{count} objects: {text}"])
        assert [note for note in counted if note.endswith(text)] == expected


def test_notes_are_joined_and_none_is_null() -> None:
    assert (join_notes(("one", "two")), join_notes(())) == ("one; two", None)


def make_index(*notes: tuple[str, ...]) -> SeriesIndex:
    """An index of one object for each of the given notes, and of one that is no instance."""
    objects = [write_dataset(add_pixels(make_dataset(SOPInstanceUID=f"1.{n}"))) for n in range(len(notes))]
    series = gather_headers(objects, rejected={"a\x1b.txt": HeaderError("it has no DICM prefix", "not-dicom")})
    headers = tuple(replace(header, notes=note) for header, note in zip(series.headers, notes, strict=True))
    return build_index(replace(series, headers=headers))


def test_an_index_tells_the_notes_of_its_headers_and_the_objects_that_are_none() -> None:
    index = make_index(("its text is no UTF-8",), ("its text is no UTF-8", "it ends early"), ())

    assert index.notes == (
        "1 object is no instance: a\\x1b.txt: it has no DICM prefix",
        "2 objects: its text is no UTF-8",
        "it ends early",
    )


def test_notes_are_kept_with_the_index_and_an_older_index_has_none() -> None:
    index = make_index(("it ends early",))

    _, description = open_index_file(index)

    assert description["notes"] == list(index.notes)
    data = serialize_index(index, "1")
    assert parse_index(data).notes == index.notes
    older = parse_index(_without_notes(index))
    assert older.notes == ()
    assert older.table.equals(index.table)


def _without_notes(index: SeriesIndex) -> bytes:
    """The file of an index as versions without notes wrote it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, description = open_index_file(index)
    del description["notes"]
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({b"dsp_batch": json.dumps(description).encode()}), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@pytest.fixture
def ref(tmp_path: Path) -> SeriesRef:
    """A series of five CT slices, with a text beside them."""
    series = build_ct(count=5, size=32)
    write_collection(tmp_path / "root", [series])
    ref = SeriesRef(root=str(tmp_path / "root"), series_uuid=series.series_uuid)
    (Path(ref.url) / "readme").write_text("no object\n" * 20)
    return ref


def test_a_picture_tells_the_notes_of_its_series_and_of_its_frames(
    ref: SeriesRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = EncodedFrames.decode

    def decode_with_note(self: EncodedFrames, frame: int) -> object:
        decoded = decode(self, frame)
        assert isinstance(decoded, StoredFrame)
        return replace(decoded, notes=("its overlay is left out",))

    monkeypatch.setattr(EncodedFrames, "decode", decode_with_note)
    store = Store(ref.root)
    image = render_preview(index_series(ref, store, None), FrameSource(store=store), MosaicOptions(), ".webp")

    first, second = image.notes
    assert first.startswith("1 object is no instance: readme: ")
    assert second == "5 frames: its overlay is left out"


@pytest.mark.parametrize(("verb", "options"), [("mosaic", MosaicOptions()), ("build-index", IndexOptions())])
def test_the_row_of_a_series_tells_its_notes(
    ref: SeriesRef, tmp_path: Path, verb: str, options: MosaicOptions | IndexOptions
) -> None:
    job = Job(verb=verb, options=options, cache=open_cache(str(tmp_path / "cache")), name=verb)

    shard = build_shard_indices(fetch_shard_headers((ref,), job, 1), job)
    (row,) = render_shard(shard, job)

    assert row.status == "done"
    assert row.notes is not None
    assert row.notes.startswith("1 object is no instance: readme: ")
    assert build_table([row]).column("notes").to_pylist() == [row.notes]
