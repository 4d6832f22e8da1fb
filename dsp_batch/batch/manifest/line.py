"""Reads the series that one text names: a plain name, a URL or path, a copy command, or a row without header."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from dsp_batch.batch.manifest.columns import Columns
from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.batch.manifest.rows import (
    DELIMITERS,
    LONGEST_LINE,
    TOO_LONG,
    NamedLine,
    Reading,
    Surroundings,
    reject,
    split_record,
)
from dsp_batch.errors import OptionsError
from dsp_batch.model.identifiers import is_series_instance_uid, normalise_uuid
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import SeriesName, parse_series
from dsp_batch.storage.aws import check_endpoint
from dsp_batch.storage.urls import show_text

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ANY_UUID = re.compile(_UUID, re.IGNORECASE)

_COPIES = ("cp", "sync", "mv")
_OTHERS = ("ls", "rm", "mb", "rb", "du", "cd", "mkdir")
"""Commands that copy nothing."""

_OTHERS_OF_PROGRAMS = ("cat", "head", "select", "pipe", "presign", "run")
"""The same, but only behind the name of a program, because folders may begin so: `head 1/CT 2`."""

_WORDS_BEFORE = r"""(?:(?:[$%>]|sudo(?:\s+-\S+)*|env|[A-Za-z_]\w*=(?:"[^"]*"|'[^']*'|[^\s"'])*)\s+)*"""
"""What stands before a command in a shell: its prompt, `sudo`, variables."""

_COMMAND = re.compile(
    rf"{_WORDS_BEFORE}(?:s5cmd|\S*/s5cmd(?=.*://)|aws|gsutil|gcloud|{'|'.join((*_COPIES, *_OTHERS))})\s",
    re.ASCII,
)
_COMMENT_BEHIND = re.compile(r"\s+#")
_WHOLE_BEFORE_COMMENT = re.compile(r'("[^"]*"|cp\s+\S+/\*\s+\.|[^"#].*?/)\s+#(?:\s|$)')
_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')
_ENDPOINT = re.compile(r"(?:--endpoint-url[=\s]+|(?:AWS|S3)_ENDPOINT_URL(?:_S3)?=)[\"']?([^\s\"']+)")
_QUOTED = re.compile(r'"[^"]*"')

SETTING = re.compile(r"[A-Za-z]\w*\s*=\s*(?:[a-z]+://|[^/]*$)", re.ASCII)
"""A line like those that manifests of TCIA begin with: `manifestVersion=3.0`. A folder may have `=` in its name."""

# What most lines of most manifests look like: a root, the UUID of the series, and an ending that may be left out.
_ROOTED = rf"((?:[a-z0-9]+:/)?/[\w.~:/-]*/)({_UUID})(?:/\*?|(/[\w.-]+\.dcm))?"
_ROOTED_LINE = re.compile(_ROOTED, re.ASCII)
_COPY_LINE = re.compile(rf"(?:cp|sync|mv)\s+(?!https?:)(?=[a-z0-9]+:){_ROOTED}(?:\s(?!.*--endpoint-url).*)?", re.ASCII)

_PATH_START = re.compile(r"/|\.{1,2}/|~|[a-z][a-z0-9+.-]*://|[a-z]:[\\/]", re.ASCII | re.IGNORECASE)
_ROOTED_CELL = re.compile(rf"[^/]*://(?:[^/]*/)+{_UUID}(?:/\*?|/[\w.-]+\.dcm)?", re.ASCII | re.IGNORECASE)
"""The first cell of a row that begins with the URL of its series, rather than of a URL with a comma."""

_SOME_UUID = "00000000-0000-4000-8000-000000000000"


def parse_line(number: int, text: str, surroundings: Surroundings) -> Reading:
    """Read a text that names a series, behind which a comment may stand."""
    text = drop_comment(text)
    try:
        return _parse_text(number, text, surroundings, NO_COLUMNS)
    except OptionsError as error:
        head = _COMMENT_BEHIND.split(text, maxsplit=1)[0]
        reading = parse_line(number, head, surroundings) if head != text else None
        if reading is None or isinstance(reading, RejectedLine):
            return reject(number, text, surroundings, reading.reason if reading else error.message)
        return reading


def drop_comment(text: str) -> str:
    """Drop the comment behind a text that is whole without it: a comment may hold URLs, options and delimiters."""
    found = _WHOLE_BEFORE_COMMENT.match(text)
    return found[1] if found else text


def parse_row(number: int, record: Any, row: Sequence[Any], columns: Columns, surroundings: Surroundings) -> Reading:
    """Read which series a row of a table is about: the best of its key columns that names one decides.

    Args:
        number: Its line, row or item.
        record: The text or value that is shown where it names none.
        row: Its cells, one for each column.
        columns: What they are for.
        surroundings: What they leave open.
    """
    trouble = ""
    for name in columns.list_names(row):
        try:
            return _parse_text(number, name, surroundings, columns.carry(row) if columns.others else NO_COLUMNS)
        except OptionsError as error:
            trouble = trouble or error.message
    return reject(number, record, surroundings, trouble or "the columns that name the series are empty")


def _parse_text(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read a name, a URL, a path, a copy command, or a row of a table without header.

    Raises:
        OptionsError: It is none of these.
    """
    if len(text) in (32, 36) and (uuid := normalise_uuid(text)):
        return _parse_uuid(number, uuid, surroundings, columns)
    if len(text) >= LONGEST_LINE:
        raise OptionsError(TOO_LONG)
    usual = _ROOTED_LINE.fullmatch(text) or _COPY_LINE.fullmatch(text)
    root = usual and _find_root(usual[1], surroundings.server, is_instance=usual[3] is not None)
    if usual and root:
        return SeriesRef(root, usual[2], surroundings.endpoint_url, columns, number)
    is_quoted = _QUOTED.fullmatch(text) is not None
    text = text[1:-1].strip() if is_quoted else text
    if _COMMAND.match(text):
        surroundings = follow_endpoint(text, surroundings)
        return _parse_name(number, _find_source(text), surroundings, columns)
    cells = [] if is_quoted else _split_cells(text)
    path = _find_path(text, cells[0]) if len(cells) > 1 else text
    if path is not None:
        return _parse_name(number, path, surroundings, columns)
    texts = _find_series_cells(cells)
    if len(texts) == 1:
        return _parse_text(number, texts[0], surroundings, columns)
    names = tuple(parse_series(cell, surroundings.root, surroundings.server) for cell in texts)
    return NamedLine(number, text, names, None, columns)


def _find_path(text: str, first_cell: str) -> str | None:
    """Return the path or URL that a text with delimiters is; None where it is a row of a table."""
    if _PATH_START.match(text):
        return None if _ROOTED_CELL.fullmatch(first_cell) else text
    return f"./{text}" if os.path.exists(text) else None  # noqa: PTH110  # pathlib refuses some texts


@lru_cache(maxsize=1_024)
def _find_root(prefix: str, server: str | None, *, is_instance: bool) -> str | None:
    """Find the root of series whose URLs or paths begin alike; None where each must be read by itself."""
    try:
        name = parse_series(f"{prefix}{_SOME_UUID}{'/1.dcm' if is_instance else ''}", "", server)
    except OptionsError:
        return None
    return name.root if (name.name, name.kind, name.own_root) == (_SOME_UUID, "folder", True) else None


def _parse_name(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read a text that is a name, a URL or a path and nothing else."""
    if SETTING.match(text):
        raise OptionsError(f"{show_text(text)} is a setting, as TCIA manifests have above ListOfSeriesToDownload=")
    name = parse_series(text, surroundings.root, surroundings.server)
    if name.kind != "folder":
        return NamedLine(number, text, (name,), surroundings.endpoint_url, columns)
    if name.own_root:
        return SeriesRef(name.root, name.name, surroundings.endpoint_url, columns, number)
    return _parse_uuid(number, name.name, surroundings, columns)


def _parse_uuid(number: int, uuid: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    if surroundings.root_is_certain:
        return SeriesRef(surroundings.root, uuid, None, columns, number)
    return NamedLine(number, uuid, (SeriesName(root=surroundings.root, name=uuid, kind="folder"),), None, columns)


def follow_endpoint(text: str, surroundings: Surroundings) -> Surroundings:
    """Return the surroundings of a command, or behind a comment.

    Raises:
        OptionsError: The endpoint that the text names is no URL of a server.
    """
    found = None if surroundings.server_is_given else _ENDPOINT.search(text)
    if found is None:
        return surroundings
    server = _s3_server(found[1])
    return replace(surroundings, server=server, endpoint_url=server)


@lru_cache(maxsize=16)
def _s3_server(endpoint_url: str) -> str | None:
    """Read an endpoint as written in a command; None for AWS itself.

    Raises:
        OptionsError: It is no URL of a server.
    """
    host = urlsplit(check_endpoint(endpoint_url, " of the manifest")).hostname or ""
    return None if host == "amazonaws.com" or host.endswith(".amazonaws.com") else endpoint_url.rstrip("/")


def _find_source(text: str) -> str:
    """Find the source of a copy command, whatever its options and destination."""
    words = [match[1] or match[2] or match[3] or "" for match in _WORD.finditer(text)]
    verbs = [position for position, word in enumerate(words) if word in _COPIES]
    sources = [word for word in words[verbs[0] + 1 :] if "://" in word] if verbs else []
    if sources and not sources[0].startswith(("http://", "https://")):
        return sources[0]
    other = next((word for word in words if word in (*_OTHERS, *_OTHERS_OF_PROGRAMS)), None)
    if not verbs and other:
        raise OptionsError(f"a command that copies nothing ({other}): write cp s3://bucket/UUID/* .")
    raise OptionsError("a copy command without the URL of a series: write cp s3://bucket/UUID/* .")


def _split_cells(text: str) -> list[str]:
    """Split a row of a table without header into cells; fewer than two for a text that is no row."""
    rows = [split_record(text, delimiter) for delimiter in DELIMITERS if delimiter in text]
    if len(rows) > 1:
        rows.sort(key=lambda row: not any(_ANY_UUID.search(cell) for cell in row if " " not in cell))
    return rows[0] if rows else []


def _find_series_cells(cells: list[str]) -> list[str]:
    """Find the cells of a row without header that may name its series, best first.

    A URL tells more than a UUID. Of several UUIDs the last is likeliest: that of the study comes before it.
    """
    urls = [cell for cell in cells if "://" in cell and (not cell.startswith("http") or _ANY_UUID.search(cell))]
    if urls:
        return [next((url for url in urls if url.startswith("s3://")), urls[0])]
    uuids = [cell for cell in cells if len(cell) in (32, 36) and normalise_uuid(cell)]
    names = uuids or [cell for cell in cells if is_series_instance_uid(cell)]
    if not names:
        raise OptionsError("no cell of this row is the URL or UUID of a series")
    return names[::-1]
