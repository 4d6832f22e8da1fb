"""How folders are scanned where the name of a series leads to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsp_batch.cache import Cache
from dsp_batch.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    """How folders are scanned where a name leads to them."""

    open_store: Callable[[str], Store]
    """Opens the store of a root."""

    cache: Cache | None = None
    """Where scans are kept, so that the next one reads only what is new; None to keep none."""

    refresh: bool = False
    """True to read objects again of which the listing tells no time."""
