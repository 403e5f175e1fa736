"""Columns: many small integers side by side, laid out so that a general compressor finds what they share.

A varint is LEB128: 7 bits a byte, the lowest first. A signed one is zigzag: 0, -1, 1, -2 become 0, 1, 2, 3.
A column of n integers is

    u8 width (0, 1, 2, 4 or 8) | signed varint base | n * width bytes

Each value is `base` plus an unsigned number of `width` bytes; these stand in planes: the lowest bytes of all values,
then the next ones. Width 0: every value is the base. Packing and unpacking run at memory speed.
"""

from __future__ import annotations

import sys
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_BIG_ENDIAN = sys.byteorder == "big"
_LONGEST = 70  # bits shifted by the last byte of the longest varint
_ALL = (1 << 64) - 1
_HALF = 1 << 63


def varint(value: int) -> bytes:
    """A number from 0 to 2^64 - 1."""
    if value < 0x80:
        return value.to_bytes(1, "little")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed_varint(value: int) -> bytes:
    """A number from -2^63 to 2^63 - 1."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def column(values: Sequence[int], base: int | None = None) -> bytes:
    """A column of numbers from -2^63 to 2^64 - 1 that lie less than 2^64 apart. `base`, which none is below, serves
    columns that are much the same: with one base they are the same bytes; without it the least of them is taken."""
    if not values:
        return b"\0\0"
    if base is None:
        base = min(values)
    spread = max(values) - base
    if base >= _HALF:  # only the unsigned part reaches so far
        base, spread = 0, max(values)
    if not spread:  # so every value is the base
        return b"\0" + signed_varint(base)
    width = 1 if spread < 1 << 8 else 2 if spread < 1 << 16 else 4 if spread < 1 << 32 else 8
    numbers = array(_CODES[width], [v - base for v in values] if base else values)
    if _BIG_ENDIAN:
        numbers.byteswap()
    raw = numbers.tobytes()
    planes = raw if width == 1 else b"".join([raw[plane::width] for plane in range(width)])
    return width.to_bytes(1, "little") + signed_varint(base) + planes


def steps(values: Sequence[int], before: int = 0) -> bytes:
    """A column of the differences between numbers from 0 to 2^64 - 1, the first one against `before`; modulo 2^64."""
    differences = []
    for value in values:
        difference = value - before
        if not -_HALF <= difference < _HALF:
            difference = (difference + _HALF & _ALL) - _HALF
        differences.append(difference)
        before = value
    return column(differences)


class Cursor:
    """Reads forward through bytes. Every method raises ValueError where they do not hold what is asked for."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def varint(self) -> int:
        data, at, end = self.data, self.at, self.end
        value = shift = 0
        while at < end and shift < _LONGEST:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.at = at
                return value
            shift += 7
        raise ValueError("a number that does not end")

    def signed_varint(self) -> int:
        value = self.varint()
        return value >> 1 if not value & 1 else -((value + 1) >> 1)

    def take(self, length: int) -> bytes:
        at = self.at
        if not 0 <= length <= self.end - at:
            raise ValueError("fewer bytes than were announced")
        self.at = at + length
        return self.data[at : at + length]

    def column(self, count: int) -> Sequence[int]:
        """The next column. The caller bounds `count`: a column of width 0 takes no bytes for it."""
        width = self.take(1)[0]
        base = self.signed_varint()
        if not width:
            return [base] * count
        code = _CODES.get(width)
        if code is None:
            raise ValueError(f"a column of width {width}")
        planes = self.take(count * width)
        if width == 1:
            return [base + n for n in planes] if base else planes
        raw = bytearray(len(planes))
        for plane in range(width):
            raw[plane::width] = planes[plane * count : (plane + 1) * count]
        numbers = array(code, bytes(raw))
        if _BIG_ENDIAN:
            numbers.byteswap()
        return [base + n for n in numbers] if base else numbers

    def steps(self, count: int, before: int = 0) -> Sequence[int]:
        """The next column of differences, summed up again: numbers from 0 to 2^64 - 1. A range where they rise by the
        same, as what was counted does: it takes no time."""
        at = self.at
        if self.take(1) == b"\0":
            step = self.signed_varint()
            if step > 0 and before + count * step <= _ALL:
                return range(before + step, before + count * step + 1, step)
        self.at = at
        numbers = list(accumulate(self.column(count), initial=before))[1:]
        if numbers and (min(numbers) < 0 or max(numbers) > _ALL):
            return [n & _ALL for n in numbers]
        return numbers
