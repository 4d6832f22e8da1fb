"""Texts that name series: plain names, URLs, s5cmd commands, rows of a table without header.

Lines are many and their forms few. The first line of a form is read the long way, with UUIDs that no series has in the
place of its own: if the answer is one of these, below a root that holds none of them, every other line of that form has
its series in the same place. Some thousand lines are split at their UUIDs together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, compress, pairwise, repeat, zip_longest
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np

from dsp_batch.batch.manifest.rows import (
    DELIMITERS,
    LONGEST_LINE,
    BareUid,
    BareUuid,
    Form,
    NamedLine,
    Reading,
    Surroundings,
    make_bare_uid,
    make_bare_uuid,
    make_ref,
    reject,
    split_record,
)
from dsp_batch.batch.manifest.table import RejectedLine
from dsp_batch.batch.manifest.uuids import MARK, part_texts
from dsp_batch.errors import OptionsError
from dsp_batch.model.identifiers import (
    are_series_instance_uids,
    format_uuids,
    is_series_instance_uid,
    normalise_uuid,
    parse_uuids,
)
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import explain_unknown, parse_series

_LOWER_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ANY_UUID = re.compile(_LOWER_UUID, re.IGNORECASE)
_COMMAND = re.compile(r"(?:s5cmd|aws|gsutil|gcloud|cp|sync|mv)\s", re.ASCII)
_WORDS = re.compile(r"[A-Za-z0-9_.?!()= -]*")
"""With a blank in it no name, URL, path or row looks like this."""

_COMMENT_BEHIND = re.compile(r"\s+#")
_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')
_ENDPOINT = re.compile(r"--endpoint-url[=\s]+[\"']?(https?://[^\s\"']+)")
_QUOTED = re.compile(r'"[^"]*"')
_COLUMN_NAME = re.compile(r'"?[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]*"?', re.ASCII)


def drop_title(lines: list[str]) -> list[str]:
    """Blank a column name that stands first and has URLs or commands below it; with other lines it is a mistake."""
    places = [place for place, line in enumerate(lines) if line and line[0] != "#"][:2]
    if len(places) == 2 and _COLUMN_NAME.fullmatch(lines[places[0]]) and "://" in lines[places[1]]:
        return [*lines[: places[0]], "", *lines[places[0] + 1 :]]
    return lines


def name_lines(lines: Sequence[str], surroundings: Surroundings, first: int = 1) -> list[Reading]:
    """Read lines that each name a series, numbered from `first` on; follow the endpoint in comments."""
    readings: list[Reading] = []
    turns = [at for at in find_comments(lines) if _ENDPOINT.search(lines[at])]
    for start, end in pairwise((0, *turns, len(lines))):
        surroundings = follow_comments(lines[start : start + 1], surroundings)
        numbers: Sequence[int] = range(first + start, first + end)
        texts = lines[start:end]
        if "" in texts or find_comments(texts):
            is_name = [bool(text) and text[0] != "#" for text in texts]
            numbers, texts = [*compress(numbers, is_name)], [*compress(texts, is_name)]
        readings += name_texts(numbers, texts, surroundings)
    return readings


def name_texts(numbers: Sequence[int], texts: Sequence[str], surroundings: Surroundings) -> list[Reading]:
    """Read texts that each name a series and carry nothing else."""
    readings = name_together(numbers, texts, repeat(NO_COLUMNS, len(texts)), surroundings)
    if all(readings):
        return cast("list[Reading]", readings)
    lines = zip(readings, numbers, texts, strict=True)
    return [reading or _name_or_reject(number, text, surroundings) for reading, number, text in lines]


def _name_or_reject(number: int, text: str, surroundings: Surroundings) -> Reading:
    if " " in text and _WORDS.fullmatch(text) and not _COMMAND.match(text):
        return reject(number, text, surroundings, explain_unknown(text))  # half of the time
    try:
        return name_at_length(number, text, surroundings, NO_COLUMNS)
    except OptionsError as error:
        head = _COMMENT_BEHIND.split(text, 1)[0]
        reading = _name_or_reject(number, head, surroundings) if head != text else None
        if reading is None or isinstance(reading, RejectedLine):
            return reject(number, text, surroundings, reading.reason if reading else error.message)
        return reading


def name_together(
    numbers: Iterable[int],
    texts: Sequence[str],
    columns: Iterable[Mapping[str, Any]],
    surroundings: Surroundings,
    heads: Sequence[str] | None = None,
) -> list[Reading | None]:
    """Read texts that are likely to be of few forms.

    Args:
        numbers: Their lines, rows or items.
        texts: Names, URLs, copy commands, or rows of a table without header.
        columns: What each carries along.
        surroundings: What they leave open.
        heads: What comes before each; None for nothing.

    Returns:
        None for each that must be read by itself.
    """
    texts = texts if heads else _hyphenate(texts)
    if not heads and are_series_instance_uids(texts):
        return [*map(make_bare_uid, zip(numbers, texts, columns, strict=True))]
    parts = part_texts(texts, heads)
    if parts is None:
        return [None] * len(texts)
    shapes = {*parts.shapes}
    known = _find_forms(shapes, surroundings)
    if len(known) < len(shapes):
        rows = zip(numbers, columns, parts.shapes, parts.firsts.tolist(), strict=True)
        return [
            _apply(known[shape], number, parts.uuids[first + known[shape].place], carried)
            if shape in known
            else (make_bare_uid((number, shape, carried)) if is_series_instance_uid(shape) else None)
            for number, carried, shape, first in rows
        ]
    own = parts.uuids
    if len(own) > len(texts):
        firsts = zip(parts.shapes, parts.firsts.tolist(), strict=True)
        own = [parts.uuids[first + known[shape].place] for shape, first in firsts]
    roots = {shape: form.root for shape, form in known.items() if form.root}
    if not roots:
        return [*map(make_bare_uuid, zip(numbers, own, columns, strict=True))]
    if len(roots) == len(known):
        servers = {shape: form.endpoint_url for shape, form in known.items()}
        there = map(roots.__getitem__, parts.shapes), own, map(servers.__getitem__, parts.shapes)
        return [*map(make_ref, zip(*there, columns, numbers, strict=True))]
    return [*map(_apply, map(known.__getitem__, parts.shapes), numbers, own, columns)]


def _hyphenate(texts: Sequence[str]) -> Sequence[str]:
    """UUIDs for texts that are all 32 hex digits; others as they are."""
    packed = parse_uuids(texts, 32)
    return texts if packed is None else format_uuids(np.frombuffer(packed, np.uint8).reshape(-1, 16))


def _find_forms(shapes: set[str], surroundings: Surroundings) -> dict[str, Form]:
    """The forms of shapes; without those whose lines must be read by themselves."""
    marked = [shape for shape in shapes if MARK in shape]
    known = surroundings.forms.known
    for shape in filter(surroundings.forms.has_room, marked):
        known[shape] = _find_form(tuple(shape.split(MARK)), surroundings)
    return {shape: form for shape in marked if (form := known.get(shape))}


def _apply(form: Form, number: int, uuid: str, columns: Mapping[str, Any]) -> SeriesRef | BareUuid:
    if form.root is None:
        return make_bare_uuid((number, uuid, columns))
    return make_ref((form.root, uuid, form.endpoint_url, columns, number))


def find_comments(lines: Sequence[str]) -> list[int]:
    """Which lines are comments."""
    return [at for at, text in enumerate(lines) if text[:1] == "#"] if "#" in "".join(lines) else []


def name_at_length(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read one text, whatever was found out about others.

    Args:
        number: Its line, row or item.
        text: A name, a URL, a copy command, or a row of a table without header.
        surroundings: What it leaves open.
        columns: What is carried along.

    Raises:
        OptionsError: It names none.
    """
    if len(text) in (32, 36) and (uuid := normalise_uuid(text)):
        return _name_uuid(number, uuid, surroundings, columns)
    if is_series_instance_uid(text):
        return BareUid(number, text, columns)
    if len(text) >= LONGEST_LINE:
        raise OptionsError(f"longer than {LONGEST_LINE} characters")
    is_quoted = _QUOTED.fullmatch(text) is not None
    text = text[1:-1].strip() if is_quoted else text
    is_command = _COMMAND.match(text) is not None
    cells = [] if is_quoted or is_command else _split_cells(text)
    if len(cells) > 1:
        texts = _find_series_cells(cells)
        if len(texts) == 1:
            return name_at_length(number, texts[0], surroundings, columns)
        names = tuple(parse_series(cell, surroundings.root, surroundings.server) for cell in texts)
        return NamedLine(number, text, names, None, columns)
    surroundings = _follow_endpoint(text, surroundings) if is_command else surroundings
    return _name_place(number, _find_source(text) if is_command else text, surroundings, columns)


def _name_place(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read a text that is a name, a URL or a path and nothing else."""
    name = parse_series(text, surroundings.root, surroundings.server)
    if name.kind != "folder":
        return NamedLine(number, text, (name,), surroundings.endpoint_url, columns)
    if name.own_root:
        return SeriesRef(name.root, name.name, surroundings.endpoint_url, columns, number)
    return _name_uuid(number, name.name, surroundings, columns)


def follow_comments(lines: Sequence[str], surroundings: Surroundings) -> Surroundings:
    """The surroundings behind some lines: IDC's portal names the S3-compatible server in a comment."""
    for at in find_comments(lines):
        surroundings = _follow_endpoint(lines[at], surroundings)
    return surroundings


def _follow_endpoint(text: str, surroundings: Surroundings) -> Surroundings:
    """The surroundings of a command, or behind a comment."""
    found = None if surroundings.server_is_given else _ENDPOINT.search(text)
    if found is None:
        return surroundings
    server = _s3_server(found[1])
    return replace(surroundings, server=server, endpoint_url=server)


def _find_form(texts: tuple[str, ...], surroundings: Surroundings) -> Form | None:
    """What lines of these texts around UUIDs come to; None where it depends on the UUIDs, or is more than a place."""
    # A letter may begin what a digit may not: the scheme of a URL.
    found = {_try_form(texts, first, surroundings) for first in "0a"}
    return found.pop() if len(found) == 1 else None


def _try_form(texts: tuple[str, ...], first: str, surroundings: Surroundings) -> Form | None:
    uuids = [f"{first * 8}-0000-4000-8000-{number:012x}" for number in range(len(texts) - 1)]
    pieces = list(chain.from_iterable(zip_longest(texts, uuids, fillvalue="")))
    try:
        reading = name_at_length(0, "".join(pieces), surroundings, NO_COLUMNS)
    except OptionsError:
        return None
    if isinstance(reading, BareUuid) and reading.uuid in uuids:
        return Form(uuids.index(reading.uuid), None, None)
    if not isinstance(reading, SeriesRef) or reading.series_uuid not in uuids:
        return None
    if any(uuid in reading.root or uuid in (reading.endpoint_url or "") for uuid in uuids):
        return None
    return Form(uuids.index(reading.series_uuid), reading.root, reading.endpoint_url)


def _name_uuid(number: int, uuid: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> SeriesRef | BareUuid:
    if surroundings.root_is_certain:
        return SeriesRef(surroundings.root, uuid, None, columns, number)
    return BareUuid(number, uuid, columns)


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
