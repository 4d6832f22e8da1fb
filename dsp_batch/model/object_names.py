"""Tell names of objects below a folder from names that lead elsewhere: listings and indices come from outside."""

from __future__ import annotations

import os
import re

_LONGEST_NAME = 4096
"""Characters of a name: S3 takes keys of 1,024 bytes, Linux paths of 4,096."""

_ESCAPE = re.compile(r"\\(udc(?:5c|[89a-f][0-9a-f]))")
_LONE = re.compile("[\udc80-\udcff]")
"""Bytes that are no UTF-8, as Python reads them in names of files (PEP 383)."""

_NO_PARTS = frozenset({"", ".", ".."})


def is_object_name(name: str) -> bool:
    """Tell whether a name is one of an object in a folder or in a folder below it, whatever is put in front of it.

    Example:
        >>> [is_object_name(name) for name in ("1.dcm", "ct/1.dcm", "../1.dcm", "/etc/passwd", "")]
        [True, True, False, False, False]
    """
    if "\0" in name or len(name) > _LONGEST_NAME or (os.name == "nt" and ":" in name):
        return False
    parts = name.split("/") if os.sep == "/" else name.replace(os.sep, "/").split("/")
    return _NO_PARTS.isdisjoint(parts)


def encode_name(name: str) -> str:
    r"""Write a name as text that UTF-8 can hold: bytes that are no UTF-8 become `\udc80` … `\udcff`.

    `decode_name` leads back to the name, also where that looks like such an escape itself.

    Example:
        >>> encode_name("Sch\udce4del.dcm")
        'Sch\\udce4del.dcm'
    """
    if name.isascii() and "\\" not in name:
        return name
    return _LONE.sub(lambda lone: f"\\u{ord(lone[0]):04x}", _ESCAPE.sub(r"\\udc5c\1", name))


def decode_name(text: str) -> str:
    """Find the name that `encode_name` wrote as a text."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda escape: "\\" if escape[1] == "udc5c" else chr(int(escape[1][1:], 16)), text)
