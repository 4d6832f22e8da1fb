"""Which series two manifests share: duplicates and digests, in 12 bytes a series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.model.identifiers import (
    Hashes,
    hash_bytes,
    is_series_instance_uid,
    normalise_uuid,
    parse_uuids,
)
from dsp_batch.model.series import SeriesRef

KeyArray = npt.NDArray[np.bytes_]
"""16 bytes a key, shape (n,)."""

_KEY_BYTES = 16
_KEY = f"S{_KEY_BYTES}"
_DIGESTED_AT_ONCE = 2_048
_LARGEST_MERGED = 131_072
"""Keys of a run that is still merged with the next."""


class NameKeys(NamedTuple):
    """Keys of some folder names."""

    keys: KeyArray
    local: list[int]
    """Which names say nothing outside their root: neither UUIDs nor SeriesInstanceUIDs."""


def name_keys(names: Sequence[str]) -> NameKeys:
    """A key for each folder name: the UUID itself, else a digest."""
    uuids = parse_uuids(names, 36)
    if uuids is not None:
        return NameKeys(np.frombuffer(uuids, dtype=_KEY), [])
    keys = np.frombuffer(b"".join(map(name_key, names)), dtype=_KEY)
    return NameKeys(keys, [at for at, name in enumerate(names) if not is_global(name)])


def place_keys(refs: Sequence[SeriesRef], chosen: Sequence[int]) -> KeyArray:
    """A key for root and folder name together, of some of the series."""
    return np.frombuffer(b"".join(digest_text(refs[at].url) for at in chosen), dtype=_KEY)


def is_global(folder: str) -> bool:
    """Whether a folder name means the same series wherever it lies."""
    return normalise_uuid(folder) is not None or is_series_instance_uid(folder)


def name_key(name: str) -> bytes:
    """The key of a folder name: the UUID itself, else a digest."""
    uuid = normalise_uuid(name)
    return bytes.fromhex(uuid.replace("-", "")) if uuid else digest_text(name)


def digest_text(text: str) -> bytes:
    """The key of a text that is no UUID."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


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
    while batch := list(islice(stream, _DIGESTED_AT_ONCE)):
        totals += [part.sum() for part in _hash_keys(_series_keys(batch))]
        count += len(batch)
    text = f"{count}:{totals[0]:x}:{totals[1]:x}"
    return blake2b(text.encode("ascii"), digest_size=_KEY_BYTES).hexdigest()


def _series_keys(refs: Sequence[SeriesRef]) -> KeyArray:
    """A key for each series: its name's where that means the same series everywhere, else that of its place."""
    names = name_keys([ref.series_uuid for ref in refs])
    keys = names.keys.copy()
    keys[names.local] = place_keys(refs, names.local)
    return keys


def _hash_keys(keys: KeyArray) -> Hashes:
    return hash_bytes(keys.view(np.uint8).reshape(len(keys), _KEY_BYTES))
