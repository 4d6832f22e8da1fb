"""Write the index of a series as a Parquet file, and read it."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.errors import HeaderError, SeriesError, first_line, printable
from dsp_batch.index.arrays import ColumnFile
from dsp_batch.index.check import check_index
from dsp_batch.index.seal import CHECKSUM_KEY, NO_CHECKSUM, check_seal, seal
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.object_names import decode_name, encode_name

FORMAT = 1
"""Version of the file's layout; an index of another version is built again."""

METADATA_KEY = b"dsp_batch"


def serialize_index(index: SeriesIndex, program: str) -> bytes:
    """Write an index as a Parquet file in memory."""
    description = {
        "format": FORMAT,
        "program": program,
        "series_uuid": index.series_uuid,
        "root": index.root,
        "folder": index.folder and encode_name(index.folder),
        "partial": index.partial,
        "constants": index.constants,
        "objects": dict(index.objects),
        "notes": list(index.notes),
    }
    told = json.dumps(description, separators=(",", ":"), ensure_ascii=False).encode()
    table = index.table.replace_schema_metadata(None)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        # As metadata of the schema Arrow would write the description twice, once of them in base64.
        writer.add_key_value_metadata({METADATA_KEY: told, CHECKSUM_KEY: NO_CHECKSUM})
    return seal(sink.getvalue())


def parse_index(data: bytes) -> SeriesIndex:
    """Read an index from its Parquet file: the description now, each column when it is needed.

    Raises:
        SeriesError: The file is no Parquet, damaged, or no index of this format.
    """
    try:
        columns = ColumnFile(data)
        metadata = columns.metadata
        description = json.loads(metadata[METADATA_KEY])
        if description["format"] != FORMAT:
            raise SeriesError(f"it has format {description['format']}, not {FORMAT}")
        _check_columns(columns, data, metadata.get(CHECKSUM_KEY))
        index = SeriesIndex(
            series_uuid=description["series_uuid"],
            root=description["root"],
            folder=_parse_folder(description.get("folder")),
            columns=columns,
            constants=description["constants"],
            objects=description["objects"],
            partial=description["partial"],
            notes=tuple(description.get("notes", ())),  # indices of earlier versions have none
        )
        check_index(index)
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError, RecursionError, HeaderError) as error:
        reason = first_line(error)
        raise SeriesError(f"it is not readable as an index ({printable(reason)})") from error
    return index


def _parse_folder(text: Any) -> str | None:
    if text is not None and not isinstance(text, str):
        raise TypeError("its folder is no text")
    return text if text is None else decode_name(text)


def _check_columns(columns: ColumnFile, data: bytes, checksum: bytes | None) -> None:
    """Make sure that every column can be read: by the checksum, or without one by reading them all."""
    if checksum is None:
        columns.read()
    else:
        check_seal(data, checksum)
