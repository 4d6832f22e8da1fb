"""Outages of the cache: a run waits for it, since what has been computed is worth more than a few minutes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from dsp_batch.errors import DspBatchError, StorageError, UnavailableError

T = TypeVar("T")
_log = logging.getLogger(__name__)

LONGEST_OUTAGE = 300.0
"""Seconds that storage may fail, after all attempts at each request, before a run gives up."""

SECONDS_BETWEEN_TRIES = 2.0
"""Seconds between two attempts at reading or writing the cache in an outage."""


def is_outage(error: DspBatchError) -> bool:
    """Tell whether storage has failed in a way that may pass: it is neither full nor forbidden nor damaged."""
    return isinstance(error, UnavailableError) or (isinstance(error, StorageError) and error.reason == "network")


def wait_out(action: Callable[[], T], what: str, seconds: float = LONGEST_OUTAGE) -> T:
    """Do something with the cache, again and again while that fails for now.

    Args:
        action: May be begun any number of times.
        what: Who waits, for the one warning: "WHAT waits for up to 300 s".
        seconds: Seconds to wait, at most.

    Raises:
        DspBatchError: The action has failed for longer than that, or in a way that does not pass.
    """
    begin, warned = time.monotonic(), False
    while True:
        try:
            return action()
        except DspBatchError as error:
            if not is_outage(error):
                raise
            if (waited := time.monotonic() - begin) >= seconds:
                raise lasting_outage(error, waited) from error
            if not warned:
                _log.warning("%s waits for up to %.0f s: %s", what, seconds, error.message)
            warned = True
        time.sleep(min(SECONDS_BETWEEN_TRIES, seconds))


def lasting_outage(error: DspBatchError, waited: float) -> DspBatchError:
    """Make the error of an outage that has lasted too long from the last error of the cache."""
    return type(error)(
        f"{error.message}; it has failed for {waited:.0f} s: the same command goes on where this stopped", error.reason
    )
