"""Clients are opened once in a process, whatever the number of its threads, and never inherited by a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar, TypeVarTuple

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

_opening = threading.RLock()
_forgetting: list[Callable[[], None]] = []


def once_in_process(build: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """Call a function once for the same arguments, and give everybody in the process what it returned.

    `lru_cache` alone lets two threads that come at the same time build one each, with connections of its own.

    Args:
        build: Takes hashable arguments. What it raises is not kept.
    """
    kept = lru_cache(maxsize=64)(build)
    _forgetting.append(kept.cache_clear)

    @wraps(build)
    def build_once(*arguments: *Ts) -> T:
        with _opening:
            return kept(*arguments)

    return build_once


def forget_opened() -> None:
    """Open everything anew from here on: in a forked process, or when the environment has changed."""
    global _opening  # noqa: PLW0603  # in a fork, a thread that is not there may hold it
    _opening = threading.RLock()
    for forget in _forgetting:
        forget()


if hasattr(os, "register_at_fork"):
    # Clients own threads and sockets, which do not survive a fork.
    os.register_at_fork(after_in_child=forget_opened)
