"""Indices in a cache: other values, types and names, a checksum that fits → the picture of the series all the same."""

from __future__ import annotations

import io
import json
import shutil
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import target_series
from case import SECRET, Case, Target
from chance import Chance
from objects import load_neighbours
from parquet_tables import change_json, change_table, write_table
from phantom_enhanced import build_enhanced_mr
from target_series import UUID
from written_objects import gather_headers

from dsp_batch.cache import index_key, open_cache
from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import METADATA_KEY, serialize_index
from dsp_batch.index.seal import CHECKSUM_KEY, NO_CHECKSUM, seal
from dsp_batch.model.series import SeriesRef
from dsp_batch.phantom import series as phantom
from dsp_batch.pipeline import describe_index, draw_series, index_series
from dsp_batch.storage.store import Store

_ROOT = "root"
"""Root of the series, from the folder that attempts work in."""


@cache
def _load_series() -> tuple[tuple[bytes, ...], ...]:
    palette = phantom.build_palette_ultrasound(rows=16, columns=20)
    others = build_enhanced_mr(count=3, size=16), palette, phantom.build_pet(count=3, size=16), phantom.build_report()
    return (load_neighbours(), *(tuple(each.data for each in series.objects) for series in others))


@cache
def _load_table(number: int) -> pa.Table:
    ref = SeriesRef(root=_ROOT, series_uuid=UUID)
    index = build_index(gather_headers(_load_series()[number], ref=ref))
    source = io.BytesIO(serialize_index(index, "fuzz"))
    told = {METADATA_KEY: pq.read_metadata(source).metadata[METADATA_KEY]}
    return pq.read_table(source).replace_schema_metadata(told)


def make(chance: Chance) -> Case:
    """Change the table or the description of an index, and then its bytes now and then."""
    number = chance.randrange(len(_load_series()))
    table = _load_table(number)
    if not chance.one_in(3):
        table = change_table(table, chance)
        if chance.one_in(6) and "FileName" in table.column_names:
            at = table.column_names.index("FileName")
            table = table.set_column(at, "FileName", pa.array([f"../../{SECRET}"] * len(table)))
    else:
        description = change_json(json.loads(table.schema.metadata[METADATA_KEY]), chance)
        table = table.replace_schema_metadata({METADATA_KEY: json.dumps(description).encode()})
    data = _write(table) if not chance.one_in(5) else write_table(table)
    settings = {"series": number, "verb": chance.choice(("preview", "mosaic", "image"))}
    return Case(data=chance.spoil(data) if chance.one_in(10) else data, settings=settings)


def _write(table: pa.Table) -> bytes:
    """Write a table as an index file is, with a checksum that is right."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({CHECKSUM_KEY: NO_CHECKSUM})
    return seal(sink.getvalue())


def attempt(case: Case, folder: Path) -> None:
    """Draw the series by the index in the cache, which is used or built again."""
    shutil.rmtree(folder / _ROOT, ignore_errors=True)
    (folder / _ROOT / UUID).mkdir(parents=True)
    for number, data in enumerate(_load_series()[case.settings["series"]]):
        (folder / _ROOT / UUID / f"{number}.dcm").write_bytes(data)
    kept = open_cache(str(folder / "cache"))
    kept.write(index_key(UUID), case.data)
    ref, store = SeriesRef(root=_ROOT, series_uuid=UUID), Store(_ROOT)
    describe_index(index_series(ref, store, kept))
    draw_series(ref, store, kept, target_series.choose_options(case.settings["verb"]), ".webp")


TARGET = Target("indices", make, attempt)
