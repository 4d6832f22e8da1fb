"""Tell names of objects below a folder from names that lead elsewhere: listings and indices come from outside."""

from __future__ import annotations

import os

_LONGEST_NAME = 4096
"""Characters of a name: S3 takes keys of 1,024 bytes, Linux paths of 4,096."""

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
