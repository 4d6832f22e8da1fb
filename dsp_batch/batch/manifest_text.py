"""Lines of text that name series: plain names, URLs, s5cmd commands, rows of a table without header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple, TextIO
from urllib.parse import urlsplit

from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.model import SeriesRef
from dsp_batch.naming import SeriesName, is_series_instance_uid, normalise_uuid, parse_series, place_root

LONGEST_LINE = 1_048_576
"""Characters; a longer line is reported, not read."""

DELIMITERS = (",", "\t", ";")

_LOWER_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# By far the most frequent texts, worth a short way: uuid, s3://bucket/uuid/*, cp s3://bucket/uuid/* destination,
# cp s3://bucket/uuid/instance.dcm destination.
_PLAIN = re.compile(
    rf"(?:((?:cp|sync)\s+)?(s3://[a-z0-9][a-z0-9.-]+)/)?({_LOWER_UUID})"
    r"(?(2)(?:/(?:\*|[^/\s,;*]+\.dcm)?)?)(?(1)(?:\s[^,;]*)?)"
)
_ANY_UUID = re.compile(_LOWER_UUID, re.IGNORECASE)
_COMMAND = re.compile(r"(?:s5cmd|aws|gsutil|gcloud|cp|sync|mv)\s", re.ASCII)
_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')
_ENDPOINT = re.compile(r"--endpoint-url[=\s]+[\"']?(https?://[^\s\"']+)")
_QUOTED = re.compile(r'"[^"]*"')
_COLUMN_NAME = re.compile(r'"?[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]*"?', re.ASCII)


_NO_COLUMNS: Mapping[str, Any] = {}
_SHOWN_CHARACTERS = 500


class NamedLine(NamedTuple):
    """A line, row or item of a manifest that names a series."""

    number: int
    text: str
    names: tuple[SeriesName, ...]
    """What it may mean, best first: a row without header may hold the UUIDs of study and series."""

    endpoint_url: str | None = None
    columns: Mapping[str, Any] = _NO_COLUMNS


class BareUuid(NamedTuple):
    """A line, row or item that gives the UUID of a series, and not its bucket."""

    number: int
    uuid: str
    columns: Mapping[str, Any] = _NO_COLUMNS


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLine:
    """A line, row or item of a manifest that names no series."""

    source: str
    """Name of the manifest."""

    line: int
    """Counted from 1; in a JSON array or Parquet file the item or row."""

    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


Reading = SeriesRef | BareUuid | NamedLine | RejectedLine
"""What a line comes to: a series whose place is certain, one to look up, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the lines of a manifest leave open."""

    source: str
    """Name of the manifest, for messages."""

    root: str
    """Where series are that come without a place."""

    server: str | None = None
    """S3-compatible server that is read; None for AWS."""

    server_is_given: bool = False
    """The server was given by hand or by the environment: the comments of the manifest name none."""

    root_is_certain: bool = True
    """UUIDs without a place are below `root`; False where the IDC index is asked first."""

    endpoint_url: str | None = None
    """The server that the comments name, for the series to remember; None for AWS."""


def read_lines(stream: TextIO, source: str) -> Iterator[str]:
    """Lines of a text without their ends; of a line longer than `LONGEST_LINE` the beginning, of that length.

    Raises:
        ManifestError: The text holds NUL bytes: it is binary, or UTF-16 without byte order mark.
    """
    for number, text in enumerate(iter(partial(stream.readline, LONGEST_LINE), ""), 1):
        if "\0" in text:
            raise ManifestError(
                f"{source}:{number}: NUL bytes: a text manifest is UTF-8, or UTF-16 with a byte order mark; "
                "tables are CSV, JSON or Parquet"
            )
        if len(text) < LONGEST_LINE:
            yield text.strip()
        else:
            rest = text
            while rest and not rest.endswith("\n"):
                rest = stream.readline(LONGEST_LINE)
            yield text


def drop_title(lines: list[str]) -> list[str]:
    """Blank a column name that stands first and has URLs or commands below it; with other lines it is a mistake."""
    places = [place for place, line in enumerate(lines) if line and line[0] != "#"][:2]
    if len(places) == 2 and _COLUMN_NAME.fullmatch(lines[places[0]]) and "://" in lines[places[1]]:
        return [*lines[: places[0]], "", *lines[places[0] + 1 :]]
    return lines


def name_lines(lines: Iterable[str], surroundings: Surroundings) -> Iterator[Reading]:
    """Read lines that each name a series; follow the endpoint in comments."""
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        if text[0] == "#":
            surroundings = follow_comment(text, surroundings)
            continue
        try:
            yield name_series(number, text, surroundings, _NO_COLUMNS)
        except OptionsError as error:
            yield reject(number, text, surroundings, error.message)


def read_name(number: int, text: str, surroundings: Surroundings) -> Reading:
    """Read one text as the name of a series, with nothing else to carry."""
    try:
        return name_series(number, text, surroundings, _NO_COLUMNS)
    except OptionsError as error:
        return reject(number, text, surroundings, error.message)


def split_record(text: str, delimiter: str) -> list[str]:
    """The cells of a row, without their quotation marks and the blanks around them."""
    if '"' not in text:
        cells = text.split(delimiter)
        return [cell.strip() for cell in cells] if f" {delimiter}" in text or f"{delimiter} " in text else cells
    return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])]


def reject(number: int, text: str, surroundings: Surroundings, reason: str) -> RejectedLine:
    """A line that names no series; of a long text the beginning is kept."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
    return RejectedLine(source=surroundings.source, line=number, text=shown, reason=reason)


def name_series(
    number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]
) -> SeriesRef | BareUuid | NamedLine:
    """Read one text that names a series.

    Args:
        number: Its line, row or item.
        text: A name, a URL, a copy command, or a row of a table without header.
        surroundings: What it leaves open.
        columns: What is carried along.

    Raises:
        OptionsError: It names none.
    """
    if match := _PLAIN.fullmatch(text):
        _, root, uuid = match.groups()
        if root is not None:
            return SeriesRef(
                root=place_root(root, surroundings.server),
                series_uuid=uuid,
                endpoint_url=surroundings.endpoint_url,
                columns=columns,
                line=number,
            )
        return _name_uuid(number, uuid, surroundings, columns)
    if len(text) in (32, 36) and (other := normalise_uuid(text)):
        return _name_uuid(number, other, surroundings, columns)
    return _name_other(number, text, surroundings, columns)


def _name_uuid(number: int, uuid: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> SeriesRef | BareUuid:
    if surroundings.root_is_certain:
        return SeriesRef(root=surroundings.root, series_uuid=uuid, columns=columns, line=number)
    return BareUuid(number, uuid, columns)


def follow_comment(text: str, surroundings: Surroundings) -> Surroundings:
    """The surroundings behind a comment: IDC's portal names the S3-compatible server there."""
    found = None if surroundings.server_is_given else _ENDPOINT.search(text)
    if found is None:
        return surroundings
    server = _s3_server(found[1])
    return replace(surroundings, server=server, endpoint_url=server)


def _name_other(
    number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]
) -> SeriesRef | BareUuid | NamedLine:
    """The long way, for what is written less often."""
    if is_series_instance_uid(text):
        uid = SeriesName(root=surroundings.root, name=text, kind="uid")
        return NamedLine(number, text, (uid,), None, columns)
    if len(text) >= LONGEST_LINE:
        raise OptionsError(f"longer than {LONGEST_LINE} characters")
    is_quoted = _QUOTED.fullmatch(text) is not None
    text = text[1:-1].strip() if is_quoted else text
    is_command = _COMMAND.match(text) is not None
    cells = [] if is_quoted or is_command else _split_cells(text)
    if len(cells) > 1:
        texts = _find_series_cells(cells)
        if len(texts) == 1:
            return name_series(number, texts[0], surroundings, columns)
        names = tuple(parse_series(cell, surroundings.root, surroundings.server) for cell in texts)
        return NamedLine(number, text, names, None, columns)
    surroundings = follow_comment(text, surroundings) if is_command else surroundings
    source = _find_source(text) if is_command else text
    name = parse_series(source, surroundings.root, surroundings.server)
    return NamedLine(number, text, (name,), surroundings.endpoint_url, columns)


def _find_source(text: str) -> str:
    """The source of a copy command, whatever its options and destination."""
    words = [match[1] or match[2] or match[3] or "" for match in _WORD.finditer(text)]
    verbs = [place for place, word in enumerate(words) if word in ("cp", "sync", "mv")]
    sources = [word for word in words[verbs[0] + 1 :] if "://" in word] if verbs else []
    if not sources or sources[0].startswith(("http://", "https://")):
        raise OptionsError("a copy command without the URL of a series: write cp s3://bucket/UUID/* .")
    return sources[0]


def _split_cells(text: str) -> list[str]:
    """The cells of a row of a table without header; fewer than two for a text that is no row."""
    rows = [split_record(text, delimiter) for delimiter in DELIMITERS if delimiter in text]
    if len(rows) > 1:
        rows.sort(key=lambda row: not any(_ANY_UUID.search(cell) for cell in row if " " not in cell))
    return rows[0] if rows else []


def _find_series_cells(cells: list[str]) -> list[str]:
    """The cells of a row without header that may name its series, best first.

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


@lru_cache(maxsize=16)
def _s3_server(endpoint_url: str) -> str | None:
    """An endpoint as written in a command; None for AWS itself."""
    host = urlsplit(endpoint_url).hostname or ""
    return None if host == "amazonaws.com" or host.endswith(".amazonaws.com") else endpoint_url.rstrip("/")
