"""Tells series of manifests apart by keys of 16 bytes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.model.identifiers import digest_text, name_key, name_keys
from dsp_batch.model.series import SeriesRef

_DIGESTED_AT_ONCE = 16_384

# Odd numbers with bits evenly spread, from the fractional parts of the golden ratio and of the square root of 3.
_MIXERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_HALF = np.uint64(32)


class SeriesKey(NamedTuple):
    """The key of a series, in two parts."""

    name: bytes
    """Key of the folder name: the UUID itself, else a digest."""

    url: bytes | None
    """Key of root and folder name together; None where the name means the same series wherever it lies."""


def series_key(ref: SeriesRef) -> SeriesKey:
    """Build the key of a series."""
    name, is_local = name_key(ref.series_uuid)
    return SeriesKey(name, digest_text(ref.url) if is_local else None)


def digest_series(refs: Iterable[SeriesRef]) -> str:
    """Digest which series a manifest names, whatever their order, their columns, comments and the form of its lines.

    A run is named by it: a shuffled manifest, or the same series from another portal, is the same run.

    Args:
        refs: Series without duplicates, as `read_manifest` yields them.

    Returns:
        32 hex digits.
    """
    totals, count = np.zeros(2, np.uint64), 0
    stream = iter(refs)
    while some := [*islice(stream, _DIGESTED_AT_ONCE)]:
        names = name_keys([ref.series_uuid for ref in some])
        keys = names.keys.copy()
        keys[names.local] = [digest_text(some[number].url) for number in names.local]
        lanes = keys.view(np.uint64).reshape(-1, 2)
        first, second = (_mix(lanes, mixer) for mixer in _MIXERS)
        totals += [first.sum(), (second >> _HALF).sum()]
        count += len(some)
    text = f"{count}:{totals[0]:x}:{totals[1]:x}"
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _mix(lanes: npt.NDArray[np.uint64], mixer: np.uint64) -> npt.NDArray[np.uint64]:
    """Hash keys of two lanes, shape (n, 2), to 64 bits each."""
    mixed = np.full(len(lanes), mixer, np.uint64)
    for lane in lanes.T:
        mixed = (mixed ^ lane) * mixer
        mixed ^= mixed >> _HALF
    return mixed
