"""The UUIDs in some thousand texts, found together: a regular expression for each takes ten times as long."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dsp_batch.model.identifiers import UUID_CHARACTERS, UUID_HYPHENS
from dsp_batch.model.series import BoolArray, ByteArray, IntArray

MARK = "\0"
"""What stands for a UUID in a shape."""

_HYPHEN = ord("-")
_NARROW, _WIDE = "ascii", "utf-32-le"

_KINDS = np.zeros(256, np.uint8)
_KINDS[np.frombuffer(b"0123456789abcdef", np.uint8)] = 1
_KINDS[_HYPHEN] = 2
_PATTERN = np.ones(UUID_CHARACTERS, np.uint8)
_PATTERN[[*UUID_HYPHENS]] = 2


Signs = npt.NDArray[np.uint8] | npt.NDArray[np.uint32]
"""Code points."""


class PartedTexts(NamedTuple):
    """Texts without their UUIDs, and these."""

    shapes: list[str]
    """The texts with `MARK` in the place of each lower-case UUID."""

    uuids: Sequence[str]
    """The UUIDs of all texts."""

    firsts: IntArray
    """Which of them is the first of each text, shape (texts,)."""


def part_texts(texts: Sequence[str], heads: Sequence[str] | None = None) -> PartedTexts | None:
    """Take the UUIDs out of texts, as a regular expression would that finds them from left to right.

    Args:
        texts: The texts, or their ends.
        heads: What comes before each end, up to a `/`; None for nothing.

    Returns:
        None for texts with line ends or `MARK` in them.
    """
    if _are_uuids(texts):
        marked = {head: f"{head}{MARK}" for head in heads or [""]}
        apart = part_texts([*marked])
        if apart is not None and not apart.uuids:
            shapes = [*map(marked.__getitem__, heads)] if heads else [MARK] * len(texts)
            return PartedTexts(shapes, texts, np.arange(len(texts)))
    joined = "\n".join(map(add, heads, texts) if heads else texts)
    if MARK in joined or joined.count("\n") != len(texts) - 1:
        return None
    signs = read_signs(joined).copy()
    narrow: ByteArray = np.minimum(signs, 255).astype(np.uint8, copy=False)
    starts = _find_uuids(narrow)
    ends_line = np.flatnonzero(narrow == ord("\n"))
    uuids = np.full((len(starts), UUID_CHARACTERS + 1), ord("\n"), np.uint8)
    uuids[:, :UUID_CHARACTERS] = _look_at(narrow, starts)
    signs[starts] = ord(MARK)
    shapes = write_signs(signs[~tell_inside(len(signs), starts + 1, starts + UUID_CHARACTERS)]).split("\n")
    firsts = np.searchsorted(starts, np.concatenate([[0], ends_line]))
    return PartedTexts(shapes, uuids.tobytes().decode("ascii").split("\n")[:-1], firsts)


def tell_inside(length: int, starts: IntArray, ends: IntArray) -> BoolArray:
    """Which places of a text lie inside of stretches, each from its start to before its end, shape (length,)."""
    steps = np.zeros(length + 1, np.int8)
    steps[starts] = 1
    steps[ends] -= 1
    return steps.cumsum(dtype=np.int8)[:-1].astype(np.bool_)


def read_signs(text: str) -> Signs:
    """The code point of each sign of a text, shape (signs,); one byte each where all are ASCII."""
    if text.isascii():
        return np.frombuffer(text.encode(_NARROW), np.uint8)
    return np.frombuffer(text.encode(_WIDE, "surrogatepass"), np.uint32)


def write_signs(signs: Signs) -> str:
    """The text of some code points."""
    return signs.tobytes().decode(_NARROW if signs.itemsize == 1 else _WIDE, "surrogatepass")


def _are_uuids(texts: Sequence[str]) -> bool:
    """Whether each text is a lower-case UUID and nothing else."""
    if {*map(len, texts)} != {UUID_CHARACTERS}:
        return False
    joined = "".join(texts)
    return joined.isascii() and bool((_KINDS[read_signs(joined).reshape(-1, UUID_CHARACTERS)] == _PATTERN).all())


def _find_uuids(signs: ByteArray) -> IntArray:
    """Where lower-case UUIDs begin; of two that overlap the first counts."""
    hyphens = np.flatnonzero(signs == _HYPHEN)
    starts: IntArray = hyphens - UUID_HYPHENS[0]
    starts = starts[(starts >= 0) & (starts <= len(signs) - UUID_CHARACTERS)]
    for place in UUID_HYPHENS[1:]:
        starts = starts[signs[starts + place] == _HYPHEN]
    starts = starts[(_KINDS[_look_at(signs, starts)] == _PATTERN).all(axis=1)]
    if (np.diff(starts) >= UUID_CHARACTERS).all():
        return starts
    kept = [-UUID_CHARACTERS]
    for start in starts.tolist():
        if start >= kept[-1] + UUID_CHARACTERS:
            kept.append(start)
    return np.array(kept[1:])


def _look_at(signs: ByteArray, starts: IntArray) -> ByteArray:
    """What stands where a UUID may be, shape (starts, 36)."""
    if not len(starts):
        return np.empty((0, UUID_CHARACTERS), np.uint8)
    return sliding_window_view(signs, UUID_CHARACTERS)[starts]
