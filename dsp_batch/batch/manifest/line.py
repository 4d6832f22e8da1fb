"""Reads the series that one text names: a plain name, a URL or path, a copy command, or a row without header."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from dsp_batch.batch.manifest.entries import LONGEST_LINE, TOO_LONG, NamedLine, Reading, Surroundings
from dsp_batch.batch.manifest.rejected import RejectedLine, reject
from dsp_batch.errors import OptionsError
from dsp_batch.model.identifiers import is_series_instance_uid, normalise_uuid
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import SeriesName, parse_series
from dsp_batch.storage.aws import check_endpoint
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.urls import is_location, local_path, show_text

DELIMITERS = (",", "\t", ";")

SETTING = re.compile(r"[A-Za-z]\w*\s*=\s*(?:[a-z]+://|[^/]*$)", re.ASCII)
"""A line like those that manifests of TCIA begin with: `manifestVersion=3.0`. A folder may have `=` in its name."""

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
_WORD_ALONE = re.compile(r"[^\s/\\#,;:*?\"']+")
_QUOTED = re.compile(r'"[^"]*"')

_PATH_START = re.compile(r"/|\.{1,2}/|~|[a-z][a-z0-9+.-]*://|[a-z]:[\\/]", re.ASCII | re.IGNORECASE)
_ROOTED_CELL = re.compile(rf"[^/]*://(?:[^/]*/)+{_UUID}(?:/\*?|/[\w.-]+\.dcm)?", re.ASCII | re.IGNORECASE)
"""The first cell of a row that begins with the URL of its series, rather than of a URL with a comma."""


def parse_line(number: int, text: str, surroundings: Surroundings) -> Reading:
    """Read a text that names a series, behind which a comment may stand."""
    text = drop_comment(text)
    try:
        return parse_text(number, text, surroundings, NO_COLUMNS)
    except OptionsError as error:
        reason = error.message
    head = _COMMENT_BEHIND.split(text, maxsplit=1)[0]
    if head == text:
        name = _name_remote_folder(text, surroundings)
        return NamedLine(number, text, (name,)) if name else reject(number, text, surroundings.source, reason)
    reading = parse_line(number, head, surroundings)
    return reject(number, text, surroundings.source, reading.reason) if isinstance(reading, RejectedLine) else reading


def _name_remote_folder(text: str, surroundings: Surroundings) -> SeriesName | None:
    """Read a single word as the name of a folder below a remote root that is not IDC's; None for anything else."""
    is_word = _WORD_ALONE.fullmatch(text) is not None
    if not is_word or is_idc_root(surroundings.root) or local_path(surroundings.root):
        return None
    return SeriesName(root=surroundings.root, name=text, kind="folder")


def drop_comment(text: str) -> str:
    """Drop the comment behind a text that is whole without it: a comment may hold URLs, options and delimiters."""
    found = _WHOLE_BEFORE_COMMENT.match(text)
    return found[1] if found else text


def parse_text(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read a name, a URL, a path, a copy command, or a row of a table without header.

    Raises:
        OptionsError: It is none of these.
    """
    if len(text) in (32, 36) and normalise_uuid(text):
        return _parse_name(number, text, surroundings, columns)
    if len(text) >= LONGEST_LINE:
        raise OptionsError(TOO_LONG)
    is_quoted = _QUOTED.fullmatch(text) is not None
    text = text[1:-1].strip() if is_quoted else text
    if _COMMAND.match(text):
        surroundings = follow_endpoint(text, surroundings)
        return _parse_name(number, _find_source(text), surroundings, columns)
    if path := _find_path(text, surroundings):
        return _parse_name(number, path, surroundings, columns)
    cells = [] if is_quoted else _split_cells(text)
    if len(cells) < 2 or (_PATH_START.match(text) and not _ROOTED_CELL.fullmatch(cells[0])):
        return _parse_name(number, text, surroundings, columns)
    texts = _find_series_cells(cells)
    if len(texts) == 1:
        return parse_text(number, texts[0], surroundings, columns)
    names = tuple(parse_series(cell, surroundings.root, surroundings.server) for cell in texts)
    return NamedLine(number, text, names, None, columns)


def _find_path(text: str, surroundings: Surroundings) -> str | None:
    """Find what a relative path means on this machine; None where nothing of that name is there.

    Raises:
        OptionsError: It is a file, named without its folder.
    """
    is_name = normalise_uuid(text) or is_series_instance_uid(text) or text.endswith("*")
    if is_name or "://" in text or text.startswith(("/", "~")):
        return None
    # pathlib refuses some texts
    paths = (os.path.join(folder, text) for folder in surroundings.folders)  # noqa: PTH118
    path = next((os.path.abspath(path) for path in paths if os.path.exists(path)), None)  # noqa: PTH100, PTH110
    if path and not is_location(text) and os.path.isfile(path):  # noqa: PTH113
        raise OptionsError(_explain_file(text))
    return path


def _explain_file(text: str) -> str:
    return f"{show_text(text)} is a file: name the folder of its series"


def _parse_name(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read a text that is a name, a URL or a path and nothing else."""
    if SETTING.match(text):
        raise OptionsError(f"{show_text(text)} is a setting, as TCIA manifests have above ListOfSeriesToDownload=")
    try:
        name = parse_series(text, surroundings.root, surroundings.server)
    except OptionsError as error:
        if is_location(text):
            raise
        raise OptionsError(f"{error.message}; {explain_missing(surroundings)}") from error
    if name.own_root:
        surroundings.check_place(f"{name.root}/{name.name}")
    endpoint_url = surroundings.endpoint_url if name.own_root else None
    if name.kind != "folder" or not (name.own_root or surroundings.root_is_certain):
        return NamedLine(number, text, (name,), endpoint_url, columns)
    if _is_file(name):
        raise OptionsError(_explain_file(text))
    return SeriesRef(name.root, name.name, endpoint_url, columns, number)


@lru_cache(maxsize=1)
def explain_missing(surroundings: Surroundings) -> str:
    """Say where a name was looked for that is neither there nor of any form."""
    folders = (*map(os.path.abspath, surroundings.folders), surroundings.root)
    return f"there is no folder or file of that name in {', '.join(dict.fromkeys(folders))}"


def _is_file(name: SeriesName) -> bool:
    is_local = name.own_root and "://" not in name.root and normalise_uuid(name.name) is None
    return is_local and os.path.isfile(os.path.join(name.root, name.name))  # noqa: PTH113, PTH118  # as in _find_path


def follow_endpoint(text: str, surroundings: Surroundings) -> Surroundings:
    """Return the surroundings of a command, or behind a comment.

    Raises:
        OptionsError: The endpoint that the text names is no URL of a server.
    """
    found = None if surroundings.server_is_given or surroundings.keeps_to_root else _ENDPOINT.search(text)
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


def split_record(text: str, delimiter: str) -> list[str]:
    """Split a row into cells, without their quotation marks and the blanks around them.

    Returns:
        The cells; none where the row cannot be read.
    """
    if len(text) >= LONGEST_LINE:
        return []
    if '"' not in text:
        return [*map(str.strip, text.split(delimiter))]
    try:
        rows = csv.reader([text], delimiter=delimiter, skipinitialspace=True)
        return [*map(str.strip, next(rows, []))]
    except csv.Error:  # a line end outside of quotation marks, or a cell of more than 131,072 characters
        return []


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
