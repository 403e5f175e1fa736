"""Request bodies, deduplicated against recent ones.

An agent sends its whole conversation again at every step, so a body is stored as what lies between the longest common
prefix and suffix with one of the bodies before it. Stored form, little-endian:

    u32 number of the exchange whose body is the base (0 = none), u32 prefix length, u32 suffix length | the middle

Encoder and decoder see the bodies in the same order and keep the same recent ones, so neither needs the file.
"""

from __future__ import annotations

from collections import OrderedDict
from struct import Struct
from typing import NamedTuple, Protocol, TypeVar

BASES = 8
_RECIPE = Struct("<III")
_BLOCK = 1 << 16
_Kept = TypeVar("_Kept")


class Encoded(NamedTuple):
    """A body as stored, and how much of its start is known from a base that redaction left unchanged."""

    stored: bytes
    base: int


class BodyEncoder(Protocol):
    """Turns bodies into stored form, in the order of their exchanges."""

    def clean_prefix(self, body: bytes) -> int:
        """Length of the start of `body` that equals a recent body which redaction left unchanged."""

    def encode(self, number: int, body: bytes, *, clean: bool) -> Encoded:
        """Stored form of `body` (already redacted; `clean` = redaction changed nothing)."""


class BodyDecoder(Protocol):
    """Gives back bodies, in the order they were encoded."""

    def decode(self, number: int, stored: bytes) -> bytes:
        """The exact bytes that were encoded. Raises ValueError when `stored` cannot be what an encoder wrote."""


class DeltaEncoder:
    """BodyEncoder by prefix and suffix against the 8 most recently used bodies."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, tuple[bytes, bool]] = OrderedDict()

    def _best(self, body: bytes, *, only_clean: bool) -> tuple[int, int]:
        best, best_length = 0, 0
        for number in reversed(self._recent):
            candidate, clean = self._recent[number]
            if only_clean and not clean:
                continue
            length = common_prefix(candidate, body)
            if length > best_length:
                best, best_length = number, length
                if length * 10 >= len(body) * 9:
                    break
        return best, best_length

    def clean_prefix(self, body: bytes) -> int:
        return self._best(body, only_clean=True)[1]

    def encode(self, number: int, body: bytes, *, clean: bool) -> Encoded:
        base, prefix = self._best(body, only_clean=False)
        suffix = 0
        if base:
            suffix = common_suffix(self._recent[base][0], body, min(len(self._recent[base][0]), len(body)) - prefix)
        _remember(self._recent, number, (body, clean), base)
        return Encoded(_RECIPE.pack(base, prefix, suffix) + body[prefix : len(body) - suffix], base)


class DeltaDecoder:
    """BodyDecoder for what DeltaEncoder wrote."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, bytes] = OrderedDict()

    def decode(self, number: int, stored: bytes) -> bytes:
        if len(stored) < _RECIPE.size:
            raise ValueError("body recipe is cut short")
        base, prefix, suffix = _RECIPE.unpack_from(stored)
        middle = stored[_RECIPE.size :]
        if base:
            whole = self._recent.get(base)
            if whole is None or prefix + suffix > len(whole):
                raise ValueError(f"body refers to exchange {base}, whose body is not at hand")
            body = whole[:prefix] + middle + (whole[len(whole) - suffix :] if suffix else b"")
        elif prefix or suffix:
            raise ValueError("body recipe without a base")
        else:
            body = middle
        _remember(self._recent, number, body, base)
        return body


def _remember(recent: OrderedDict[int, _Kept], number: int, kept: _Kept, base: int) -> None:
    """Least recently used goes first; using a base counts as use. The same on both sides, or decoding fails."""
    if base:
        recent.move_to_end(base)
    recent[number] = kept
    if len(recent) > BASES:
        recent.popitem(last=False)


def common_prefix(a: bytes, b: bytes) -> int:
    """Length of the longest common prefix, at memory-compare speed."""
    limit = min(len(a), len(b))
    position = 0
    while position < limit and a[position : position + _BLOCK] == b[position : position + _BLOCK]:
        position += _BLOCK
    if position >= limit:
        return limit
    low, high = position, min(position + _BLOCK, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_suffix(a: bytes, b: bytes, limit: int) -> int:
    """Length of the longest common suffix, at most `limit`, at memory-compare speed."""
    length_a, length_b = len(a), len(b)
    done = 0
    while (
        done + _BLOCK <= limit
        and a[length_a - done - _BLOCK : length_a - done] == b[length_b - done - _BLOCK : length_b - done]
    ):
        done += _BLOCK
    low, high = done, min(done + _BLOCK, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if a[length_a - middle : length_a - low] == b[length_b - middle : length_b - low]:
            low = middle
        else:
            high = middle - 1
    return low
