"""The elements of one header as a tree that is read piece by piece: a page of nodes below a path."""

from __future__ import annotations

from typing import Any

from dsp_batch.dicom.headers.dictionary import name_of
from dsp_batch.dicom.headers.nested import NestedDataset, open_header
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.headers.values import element_value
from dsp_batch.errors import DspBatchError, OptionsError
from dsp_batch.model.series import InstanceHeader, ObjectInfo
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
    dataset = open_header(header)
    for tag, number in parse_path(path):
        dataset = dataset.open_item(tag, number)
    tags = list(dataset.elements)
    above = f"{path}." if path else ""
    return {
        "path": path,
        "offset": offset,
        "total": len(tags),
        "nodes": [_describe(dataset, tag, above) for tag in tags[offset : offset + min(limit, MOST_NODES)]],
    }


def parse_path(path: str) -> list[tuple[int, int]]:
    """Read a path as tags of sequences and numbers of their items.

    Raises:
        OptionsError: It is malformed.
    """
    parts = path.split(".") if path else []
    steps = [*zip(parts[::2], parts[1::2], strict=False)]
    if len(parts) % 2 or not all(_is_tag(tag) and _is_number(number) for tag, number in steps):
        raise OptionsError("a path is made of tags and numbers of items, such as 00081140.0")
    return [(int(tag, 16), int(number)) for tag, number in steps]


def format_tag(tag: int) -> str:
    """Write a tag as 8 hexadecimal digits."""
    return f"{tag:08X}"


def name_tag(tag: int) -> str | None:
    """Return the keyword of a tag; None for private and unknown ones, which have none."""
    name = name_of(tag)
    return None if "_" in name else name


def _is_tag(text: str) -> bool:
    return len(text) == 8 and all(each in "0123456789abcdefABCDEF" for each in text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _describe(dataset: NestedDataset, tag: int, above: str) -> dict[str, Any]:
    element = dataset.elements[tag]
    node: dict[str, Any] = {"tag": format_tag(tag), "vr": element.vr, "keyword": name_tag(tag)}
    items = dataset.list_items(tag)
    if items is not None:
        return {**node, "items": len(items), "path": f"{above}{format_tag(tag)}"}
    if element.vr == "SQ" or dataset.is_binary(tag):
        return {**node, "length": element.length}
    decoded = dataset.decode(tag)
    values = element_value(decoded)
    if isinstance(values, bytes):
        return {**node, "length": element.length}
    value = None if not values else values[0] if len(values) == 1 else values
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return {**node, "vr": decoded["vr"], "value": value[:LONGEST_TEXT], "length": len(value)}
    return {**node, "vr": decoded["vr"], "value": value}
