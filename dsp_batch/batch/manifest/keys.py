"""Keys of series, 16 bytes each, by which manifests and results are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.model.identifiers import KeyArray, is_series_instance_uid, normalise_uuid, parse_uuids
from dsp_batch.model.series import SeriesRef

_KEY_BYTES = 16
_KEY = f"S{_KEY_BYTES}"
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


class NameKeys(NamedTuple):
    """Keys of some folder names."""

    keys: KeyArray
    local: list[int]
    """Numbers of the names that say nothing outside their root: neither UUIDs nor SeriesInstanceUIDs."""


def series_key(ref: SeriesRef) -> SeriesKey:
    """Build the key of a series."""
    name, is_local = _name_key(ref.series_uuid)
    return SeriesKey(name, _digest(ref.url) if is_local else None)


def name_keys(names: Sequence[str]) -> NameKeys:
    """Build a key for each folder name."""
    try:
        return NameKeys(parse_uuids(names), [])  # nearly always all are UUIDs, which takes an eighth of the time
    except ValueError:
        keys = [*map(_name_key, names)]
    joined = b"".join([key for key, _ in keys])
    return NameKeys(np.frombuffer(joined, _KEY), [number for number, (_, is_local) in enumerate(keys) if is_local])


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
        keys[names.local] = [_digest(some[number].url) for number in names.local]
        lanes = keys.view(np.uint64).reshape(-1, 2)
        first, second = (_mix(lanes, mixer) for mixer in _MIXERS)
        totals += [first.sum(), (second >> _HALF).sum()]
        count += len(some)
    text = f"{count}:{totals[0]:x}:{totals[1]:x}"
    return blake2b(text.encode("ascii"), digest_size=_KEY_BYTES).hexdigest()


def _mix(lanes: npt.NDArray[np.uint64], mixer: np.uint64) -> npt.NDArray[np.uint64]:
    """Hash keys of two lanes, shape (n, 2), to 64 bits each."""
    mixed = np.full(len(lanes), mixer, np.uint64)
    for lane in lanes.T:
        mixed = (mixed ^ lane) * mixer
        mixed ^= mixed >> _HALF
    return mixed


def _name_key(name: str) -> tuple[bytes, bool]:
    """Build the key of a folder name, and tell whether the name says nothing outside its root."""
    uuid = normalise_uuid(name)
    if uuid is not None:
        return bytes.fromhex(uuid.replace("-", "")), False
    return _digest(name), not is_series_instance_uid(name)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
