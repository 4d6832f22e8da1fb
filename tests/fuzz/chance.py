"""Random choices of fuzzing: odd numbers, odd texts, and bytes that are changed here and there."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")

NUMBERS = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 257, 511, 512, 1023, 1024, 4095)
EDGES = tuple(
    sign * ((1 << bits) + step) for bits in (15, 16, 31, 32, 40, 62, 63, 64) for step in (-1, 0, 1) for sign in (1, -1)
)
"""Integers beside the ends of the usual widths."""

TEXTS = (
    "", " ", "\\", "\\\\", "0", "-1", "1e999", "-1e999", "nan", "inf", "1,5", "1.5.2", "0x10", "9" * 40, "1" * 400,
    "../../secret.dcm", "..", ".", "/", "//", "/etc/passwd", "a/../../secret.dcm", "~nobody/x", "file:///etc/passwd",
    "http://[::1", "s3://", "s3://b/../c", "x" * 300, "é", "\ud800", "\u202e", "\u2028", "\x00", "\x1b[31m", "a\nb",
    "a\r\nb", "-0", "\ufffd", "ISO_IR 100", "ISO 2022 IR 87", "ISO 2022 IR 149", "GB18030", "rot13", "idna", "utf-16",
    "YES", "NO", "MIXED", "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL_422", "SIGMOID",
    "LINEAR_EXACT", "IDENTITY", "INVERSE",
    "1.2.840.10008.1.2.4.50", "1.2.3", "20200230", "256060", "<b>", '"', "'", ",", ";", "\t", "%2e%2e%2f", "*", "?",
    "#",
)  # fmt: skip
"""Texts that were trouble somewhere: numbers that are none, paths that lead out, controls, names of encodings."""


class Chance(random.Random):
    """Random choices that a seed repeats."""

    def one_in(self, count: int) -> bool:
        """Tell whether a chance of one in so many has come true."""
        return self.randrange(count) == 0

    def some(self, items: Sequence[_Item], most: int) -> list[_Item]:
        """Choose a few of some items, with repetitions."""
        return [self.choice(items) for _ in range(self.randint(1, most))] if items else []

    def number(self) -> int:
        """Choose an integer, near an edge as often as not."""
        return self.choice((self.choice(NUMBERS), self.choice(EDGES), self.randrange(1 << self.randint(1, 33))))

    def real(self) -> float:
        """Choose a floating-point number."""
        return self.choice((0.0, -0.0, 1e-40, 1e38, 1e308, float("nan"), float("inf"), -1.5, self.uniform(-4000, 4000)))

    def text(self) -> str:
        """Choose a text."""
        return self.choice((self.choice(TEXTS), str(self.number()), str(self.real()), self.word()))

    def word(self) -> str:
        """Choose a word of capital letters."""
        return "".join(self.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ_ 0123456789", k=self.randint(1, 16)))

    def bytes(self, most: int) -> bytes:
        """Choose some bytes."""
        return self.randbytes(self.randint(0, most))

    def spoil(self, data: bytes, most: int = 6) -> bytes:
        """Change bytes: a few of them, or a stretch that is cut out, doubled or filled."""
        changed = bytearray(data)
        for _ in range(self.randint(1, most)):
            if not changed:
                break
            self.choice(_CHANGES)(self, changed, self.randrange(len(changed)))
        return bytes(changed)


def _flip(chance: Chance, data: bytearray, at: int) -> None:
    data[at] ^= 1 << chance.randrange(8)


def _set(chance: Chance, data: bytearray, at: int) -> None:
    data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)))


def _set_number(chance: Chance, data: bytearray, at: int) -> None:
    order, (code, bits) = chance.choice("<>"), chance.choice((("H", 16), ("I", 32), ("Q", 64)))
    packed = struct.pack(order + code, chance.number() % (1 << bits))
    data[at : at + len(packed)] = packed[: len(data) - at]


def _cut(chance: Chance, data: bytearray, at: int) -> None:
    del data[at : at + chance.choice((1, 2, 4, 16, 256))]


def _end(chance: Chance, data: bytearray, at: int) -> None:
    if chance.one_in(4):
        del data[at:]


def _double(chance: Chance, data: bytearray, at: int) -> None:
    data[at:at] = data[at : at + chance.choice((1, 4, 32, 512))]


def _insert(chance: Chance, data: bytearray, at: int) -> None:
    data[at:at] = chance.bytes(16)


def _fill(chance: Chance, data: bytearray, at: int) -> None:
    length = min(chance.choice((2, 8, 64)), len(data) - at)
    data[at : at + length] = bytes([chance.choice((0, 0xFF))]) * length


_CHANGES: tuple[Callable[[Chance, bytearray, int], None], ...] = (
    _flip, _flip, _set, _set, _set_number, _cut, _end, _double, _insert, _fill
)  # fmt: skip
