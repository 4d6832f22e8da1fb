"""Identifiers of series: UUIDs and SeriesInstanceUIDs as text, and many of them as sorted keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import numpy.typing as npt

from dsp_batch.model.series import BoolArray, IntArray, SeriesRef

HEX_DIGITS = re.compile(r"[0-9a-f]{1,32}", re.IGNORECASE | re.ASCII)
"""The digits of a UUID or of its beginning, without hyphens."""

_UUID_CHARACTERS = 36
_UUID_HYPHENS = (8, 13, 18, 23)
"""Offsets of the hyphens in a UUID."""

_UUID_DIGITS = tuple(offset for offset in range(_UUID_CHARACTERS) if offset not in _UUID_HYPHENS)
"""Offsets of the digits in a UUID."""

KeyArray = npt.NDArray[np.bytes_]
"""Keys of equal length, shape (n,): `S16` holds UUIDs. Zero bytes at the end of a key are part of it."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


_DIGESTED_AT_ONCE = 16_384

# Odd numbers with bits evenly spread, from the fractional parts of the golden ratio and of the square root of 3.
_MIXERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_HALF = np.uint64(32)


class Matches(NamedTuple):
    """The answer to a look-up of n keys."""

    found: BoolArray
    """True where the key is there, shape (n,)."""

    ranks: IntArray
    """Rank of the key among the sorted ones, shape (n,); without meaning where it was not found."""


def normalise_uuid(text: str) -> str | None:
    """The hyphenated lower-case form of a UUID or of 32 hex digits; None when the text is neither."""
    if len(text) == _UUID_CHARACTERS and _UUID.fullmatch(text):
        return text.lower()
    if len(text) == 32 and HEX_DIGITS.fullmatch(text):
        digits = text.lower()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return None


def build_series_uuid(series_instance_uid: str, patient_id: str | None = None) -> str:
    """Build the key of a series outside of IDC's layout: the UUIDv5 of its SeriesInstanceUID.

    Args:
        series_instance_uid: Series Instance UID (0020,000E).
        patient_id: Patient ID (0010,0020) of the second and later patients that have this UID; None for the first.

    Example:
        >>> build_series_uuid("1.2.840.113619.2.30.1")
        'b18c447a-8e1e-53c0-8bc0-f9511d542d8f'
    """
    name = series_instance_uid if patient_id is None else f"{series_instance_uid}/{patient_id}"
    return str(uuid5(NAMESPACE_OID, name))


def is_series_instance_uid(text: str) -> bool:
    """Tell whether a text is a dotted UID of at most 64 characters (PS3.5 9.1)."""
    if "." not in text or len(text) > 64 or not text.isascii() or not text.replace(".", "").isdigit():
        return False  # a third of the time of a regular expression
    return ".." not in text and text[0] != "." != text[-1]


def parse_uuids(texts: Sequence[str]) -> KeyArray:
    """Pack hyphenated UUIDs into keys of 16 bytes, about 0.2 µs each.

    Returns:
        Keys in the order of the texts, shape (n,), dtype `S16`.

    Raises:
        ValueError: One of the texts is not a hyphenated UUID.
    """
    if not {*map(len, texts)} <= {_UUID_CHARACTERS}:
        raise ValueError("a UUID has 36 characters")
    characters = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(-1, _UUID_CHARACTERS)
    packed = bytes.fromhex(characters[:, _UUID_DIGITS].tobytes().decode("ascii"))
    # `fromhex` passes over blanks between digits.
    if len(packed) != 16 * len(texts) or not (characters[:, _UUID_HYPHENS] == ord("-")).all():
        raise ValueError("a UUID is 32 hex digits in five groups with hyphens between them")
    return np.frombuffer(packed, "S16")


def format_uuids(keys: KeyArray) -> list[str]:
    """The hyphenated lower-case text of each UUID.

    Args:
        keys: Shape (n,), dtype `S16`.
    """
    digits = np.frombuffer(keys.tobytes().hex().encode("ascii"), np.uint8).reshape(-1, len(_UUID_DIGITS))
    characters = np.full((len(keys), _UUID_CHARACTERS + 1), ord("-"), np.uint8)
    characters[:, _UUID_DIGITS] = digits
    characters[:, -1] = ord("\n")
    return characters.tobytes().decode("ascii").split("\n")[:-1]


def build_keys(names: Sequence[str]) -> KeyArray:
    """Build a key for each name of a series. What is no UUID, such as another file among previews, has a digest for it.

    Returns:
        Keys in the order of the names, shape (n,), dtype `S16`.
    """
    try:
        return parse_uuids(names)  # nearly always all are UUIDs, which takes an eighth of the time
    except ValueError:
        return np.frombuffer(b"".join(map(_build_key, names)), "S16")


def _build_key(name: str) -> bytes:
    uuid = normalise_uuid(name)
    if uuid is None:
        return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return bytes.fromhex(uuid.replace("-", ""))


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
        lanes = build_keys([ref.series_uuid for ref in some]).view(np.uint64).reshape(-1, 2)
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


def find_keys(sorted_keys: KeyArray, wanted: KeyArray) -> Matches:
    """Look keys up among sorted ones; of several equal ones the first is found.

    Args:
        sorted_keys: Keys in rising order.
        wanted: Keys of the same length, in any order.
    """
    ranks = np.searchsorted(sorted_keys, wanted)
    found = ranks < len(sorted_keys)
    found[found] = sorted_keys[ranks[found]] == wanted[found]
    return Matches(found, ranks)
