"""The elements of one header as a tree that is read piece by piece: a page of nodes below a path."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from dsp_batch.dicom.headers.dictionary import name_of
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.headers.values import HeaderDecoder, element_value
from dsp_batch.errors import DspBatchError, OptionsError
from dsp_batch.model.series import InstanceHeader, ObjectInfo, RawElement
from dsp_batch.web.viewer.library import OpenSeries

MOST_NODES = 1000
"""Nodes that one answer holds, at most."""

LONGEST_TEXT = 4096
"""Characters of a value that are sent; longer ones are cut, and say how long they are."""


def read_instance_header(opened: OpenSeries, row: int) -> InstanceHeader:
    """Read the header of one file again, with every element as it is encoded.

    Raises:
        StorageError: It cannot be read.
        HeaderError: It is damaged.
    """
    index = opened.index
    name = index.object_names[row]
    info = ObjectInfo(name=name, size=index.values("ObjectSize")[row])
    found = opened.source.store.read(index.objects_folder, {info: read_header(name, info.size)})[name]
    if isinstance(found, DspBatchError):
        raise found
    return found


def list_nodes(header: InstanceHeader, path: str, offset: int, limit: int) -> dict[str, Any]:
    """List the nodes below a path of the header.

    Args:
        header: The header.
        path: Empty for the header itself; `00081140.0` for the first item of a sequence, and so on inwards.
        offset: Number of the first node, from 0.
        limit: Number of nodes, at most.

    Raises:
        OptionsError: The path is malformed.
        KeyError: The header has no such item.
    """
    nodes = _RootNodes(header) if not path else _ItemNodes(_find_item(header, path), path)
    tags = nodes.tags[offset : offset + min(limit, MOST_NODES)]
    return {
        "path": path,
        "offset": offset,
        "total": len(nodes.tags),
        "nodes": [nodes.describe(tag) for tag in tags],
    }


class _RootNodes:
    """The elements of the header itself. Each is decoded when it is described."""

    def __init__(self, header: InstanceHeader) -> None:
        self._decoder = HeaderDecoder(header)
        self._header = header
        self.tags: Sequence[str] = [f"{tag:08X}" for tag in header.elements]

    def describe(self, tag: str) -> dict[str, Any]:
        raw: RawElement = self._header.elements[int(tag, 16)]
        if raw.value is None:
            return {"tag": tag, "vr": raw.vr, "keyword": name_tag(tag), "length": raw.length}
        return _describe_element(tag, self._decoder.json(int(tag, 16), raw), "", raw.length)


class _ItemNodes:
    """The elements of one item of a sequence, in the DICOM JSON model."""

    def __init__(self, item: Mapping[str, Any], path: str) -> None:
        self._item, self._path = item, path
        self.tags: Sequence[str] = list(item)

    def describe(self, tag: str) -> dict[str, Any]:
        return _describe_element(tag, self._item[tag], f"{self._path}.", None)


def _find_item(header: InstanceHeader, path: str) -> Mapping[str, Any]:
    parts = path.split(".")
    steps = [*zip(parts[::2], parts[1::2], strict=False)]
    if len(parts) % 2 or not all(is_tag(tag) and number.isdecimal() for tag, number in steps):
        raise OptionsError("a path is made of tags and numbers of items, such as 00081140.0")
    first = int(steps[0][0], 16)
    item: Mapping[str, Any] = {steps[0][0]: HeaderDecoder(header).json(first, header.elements[first])}
    for tag, number in steps:
        element = item[tag if tag in item else tag.upper()]
        items = element.get("Value", ()) if element["vr"] == "SQ" else ()
        if int(number) >= len(items):
            raise KeyError(path)
        item = items[int(number)]
    return item


def is_tag(text: str) -> bool:
    """Tell whether a text is a tag of 8 hexadecimal digits."""
    return len(text) == 8 and all(each in "0123456789abcdefABCDEF" for each in text)


def name_tag(tag: str) -> str | None:
    """Return the keyword of a tag; None for private and unknown ones, which have none."""
    name = name_of(int(tag, 16))
    return None if "_" in name else name


def _describe_element(tag: str, element: Mapping[str, Any], above: str, length: int | None) -> dict[str, Any]:
    node: dict[str, Any] = {"tag": tag, "vr": element["vr"], "keyword": name_tag(tag)}
    binary = element.get("InlineBinary")
    if element["vr"] == "SQ":
        return {**node, "items": len(element.get("Value", ())), "path": f"{above}{tag}"}
    if binary is not None:
        return {**node, "length": len(base64.b64decode(binary)) if length is None else length}
    values = element_value(element)
    if isinstance(values, bytes):
        return {**node, "length": len(values)}
    value = None if not values else values[0] if len(values) == 1 else values
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return {**node, "value": value[:LONGEST_TEXT], "length": len(value)}
    return {**node, "value": value}
