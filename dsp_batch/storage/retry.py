"""Requests are tried again here and nowhere else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dsp_batch.errors import StorageError
from dsp_batch.storage.backend import SlowDownError, TemporaryError
from dsp_batch.storage.flow import Flow

T = TypeVar("T")

ATTEMPTS = 6
"""Attempts at a request, at most: the first one and 5 retries."""

FIRST_DELAY = 0.3
"""Seconds before the first retry, at most; the pause doubles each time (0.3 … 4.8 s, 9.3 s in all at most)."""


async def retry_temporary(action: Callable[[], Awaitable[T]], what: str, flow: Flow | None = None) -> T:
    """Run an action until it succeeds, fails for good, or has failed too often.

    Args:
        action: Makes one attempt; raises TemporaryError where another may help.
        what: Continues "cannot …" in the message, for example `read s3://bucket/key`.
        flow: Of the server: each attempt waits its turn, and a refusal slows all that follow.

    Raises:
        StorageError: No attempt succeeded, with reason `network`; or the action raised one itself.
    """
    for attempt in range(ATTEMPTS):
        if flow is not None:
            await flow.wait_turn()
        try:
            return await action()
        except TemporaryError as error:
            cause = error
        if flow is not None and isinstance(cause, SlowDownError):
            flow.slow_down()
        if attempt < ATTEMPTS - 1:
            # Full jitter: many workers that met the same overload must not come back together.
            await asyncio.sleep(random.uniform(0, FIRST_DELAY * 2**attempt))  # noqa: S311  # spreads load, no secret
    message = f"cannot {what}: {cause} after {ATTEMPTS} attempts; check the network and try again"
    raise StorageError(message, reason="network")
