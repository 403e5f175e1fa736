"""The stored form of a body. Its writer and its reader live here.

    varint length of the operations | operations | literal

    operations: varint base, then one after the other
      varint length << 2 | 0                                   the next `length` bytes of the literal
      varint length << 2 | 1, varint gap                       from the base, `gap` bytes behind the last such copy
      varint length << 2 | 2, zigzag distance, varint offset   from the literal of exchange (own number - distance)
      varint count << 2 | 3, count x u32 number, count x u32 offset, count x u32 length
                                                               the same, many at once

`base` is 0 for none, else the zigzag of (own number - number of the base). Copies from the base go forward and never
overlap, so a body takes no byte of its base twice. Varints are LEB128, least significant group first; zigzag is
0, -1, 1, -2, ... (both as in Protocol Buffers); u32 are little-endian.
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LITERAL, COPY, RECALL, TABLE = range(4)
LONGEST = 64 << 20
"""Bytes a body may have: more than a recorder keeps in one piece, so that a hostile form cannot ask for all memory."""

MOST = 1 << 18
"""Operations a body may have, for the same reason."""

_UNREADABLE = "its operations cannot be read"


class Extent(NamedTuple):
    """`length` bytes from `offset` of the literal of exchange `number`."""

    number: int
    offset: int
    length: int


class Op(NamedTuple):
    """One operation. `offset` is in the base (COPY) or in the literal of exchange `number` (RECALL)."""

    kind: int
    length: int
    offset: int = 0
    number: int = 0


class Form(NamedTuple):
    """Operations, read: the number of the base (0 = none) and what to do, a table taken apart."""

    base: int
    ops: list[Op]


def split(stored: bytes) -> tuple[bytes, bytes]:
    """The operations and the literal of a stored form. Raises ValueError."""
    size, at = _varint(stored, 0)
    if at + size > len(stored):
        raise ValueError(_UNREADABLE)
    return stored[at : at + size], stored[at + size :]


def joined(ops: bytes, literal: bytes) -> bytes:
    """The stored form with these operations and this literal."""
    head = bytearray()
    _put(head, len(ops))
    return b"".join((head, ops, literal))


def write_ops(number: int, base: int, ops: Iterable[Op]) -> bytes:
    """The operations of exchange `number`'s body, to the byte. Copies must go forward."""
    out = bytearray()
    _put(out, _zigzag(number - base) if base else 0)
    reached = 0
    for kind, length, offset, source in ops:
        _put(out, length << 2 | kind)
        if kind == COPY:
            _put(out, offset - reached)
            reached = offset + length
        elif kind == RECALL:
            _put(out, _zigzag(number - source))
            _put(out, offset)
    return bytes(out)


def write_flat(extents: Sequence[Extent]) -> bytes:
    """The operations of a body without a base: all of it from literals, its own among them."""
    out = bytearray(b"\0")
    count = len(extents)
    if not count:
        return bytes(out)
    _put(out, count << 2 | TABLE)
    for column in zip(*extents, strict=True):
        out += pack(f"<{count}I", *column)
    return bytes(out)


def read_ops(number: int, data: bytes) -> Form:
    """What `write_ops` or `write_flat` wrote. Raises ValueError for anything else."""
    distance, at = _varint(data, 0)
    base = number - _unzigzag(distance) if distance else 0
    ops: list[Op] = []
    reached = total = 0
    size = len(data)
    while at < size:
        tag, at = _varint(data, at)
        kind, length = tag & 3, tag >> 2
        if kind == LITERAL:
            ops.append(Op(LITERAL, length))
        elif kind == COPY:
            gap, at = _varint(data, at)
            ops.append(Op(COPY, length, reached + gap))
            reached += gap + length
        elif kind == RECALL:
            distance, at = _varint(data, at)
            offset, at = _varint(data, at)
            ops.append(Op(RECALL, length, offset, number - _unzigzag(distance)))
        else:
            extents, at = _read_table(data, at, length)
            ops += [Op(RECALL, extent.length, extent.offset, extent.number) for extent in extents]
            length = sum(extent.length for extent in extents)
        total += length
        if not length or total > LONGEST or len(ops) > MOST:
            raise ValueError("no body is like that")
    return Form(base, ops)


def _read_table(data: bytes, at: int, count: int) -> tuple[list[Extent], int]:
    if count > min(MOST, (len(data) - at) // 12):
        raise ValueError(_UNREADABLE)
    columns = [unpack_from(f"<{count}I", data, at + n * 4 * count) for n in range(3)]
    if 0 in columns[2]:
        raise ValueError(_UNREADABLE)
    return list(map(Extent, *columns)), at + 12 * count


def _put(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 63 and at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError(_UNREADABLE)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _unzigzag(value: int) -> int:
    return -(value + 1 >> 1) if value & 1 else value >> 1
