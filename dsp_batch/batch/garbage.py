"""How often Python looks for garbage in the processes of the commands and of their workers."""

from __future__ import annotations

import gc

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Number of new objects after which Python looks for reference cycles. Rows of manifests and items of reports are many
and form none, and a search every 700 objects, which is usual, would take up to a fifth of the time of reading them."""


def collect_rarely() -> None:
    """Let this process look for garbage less often than Python does by itself."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
