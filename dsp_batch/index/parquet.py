"""Write the index of a series as a Parquet file, and read it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from dsp_batch.errors import HeaderError, SeriesError, first_line, printable
from dsp_batch.index.arrays import ColumnFile, write_parquet
from dsp_batch.index.check import check_index
from dsp_batch.index.seal import check_seal
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
    return write_parquet(index.table.replace_schema_metadata(None), {METADATA_KEY: told})


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
        if not check_seal(data, metadata):
            columns.read()  # it has no checksum that would tell whether every column can be read
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
