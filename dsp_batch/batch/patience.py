"""Waiting while the cache cannot be written: what has been computed is worth more than a few minutes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from dsp_batch.errors import DspBatchError, StorageError, UnavailableError

T = TypeVar("T")
_log = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds that storage may fail for, after all attempts at each request, before a run gives up."""

SECONDS_BETWEEN_TRIES = 2.0


def is_outage(error: DspBatchError) -> bool:
    """Whether storage has failed in a way that may pass: neither full nor forbidden nor damaged."""
    return isinstance(error, UnavailableError) or (isinstance(error, StorageError) and error.reason == "network")


def wait_out(action: Callable[[], T], what: str) -> T:
    """Do something with the cache, again and again while that fails for now.

    Args:
        action: May be begun any number of times.
        what: Begins "… waits" in the warning.

    Raises:
        DspBatchError: It has failed for longer than `PATIENCE`, or in a way that does not pass.
    """
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return action()
        except DspBatchError as error:
            if not is_outage(error) or time.monotonic() > limit:
                raise
            _log.warning("%s waits: %s", what, error.message)
        time.sleep(SECONDS_BETWEEN_TRIES)
