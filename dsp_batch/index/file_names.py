"""Names of objects as an index keeps them: text, whatever the bytes of a file name are."""

from __future__ import annotations

import re

_ESCAPED = re.compile("[\udc80-\udcff]|//x")
_ESCAPE = re.compile("//x([0-9A-F]{2})")


def escape_name(name: str) -> str:
    r"""Write a name as text that UTF-8 can hold.

    Args:
        name: Name of an object. Bytes of a file name that are no UTF-8 are lone surrogates in it.

    Returns:
        The name with `//x` and two hex digits for each such byte: no file name has two slashes in a row.

    Example:
        >>> escape_name("Sch\udce4del.dcm"), unescape_name("Sch//xE4del.dcm") == "Sch\udce4del.dcm"
        ('Sch//xE4del.dcm', True)
    """
    if name.isascii() and "//x" not in name:
        return name
    return _ESCAPED.sub(lambda found: "//x2F/x" if found[0] == "//x" else f"//x{ord(found[0]) & 0xFF:02X}", name)


def unescape_name(text: str) -> str:
    """Read a name that `escape_name` wrote."""
    if "//x" not in text:
        return text
    return _ESCAPE.sub(lambda found: chr(code if (code := int(found[1], 16)) < 0x80 else 0xDC00 + code), text)
