"""One entry of a listing of the cache."""

from __future__ import annotations

from typing import NamedTuple


class StoredKey(NamedTuple):
    """An object below a folder or prefix."""

    key: str
    """Name below the folder that was listed, with `/` between its parts."""

    size: int
    """Bytes."""

    modified: float | None
    """When it was written, seconds since 1970; None where the storage does not tell."""
