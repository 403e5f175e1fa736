"""Request bodies, deduplicated against recent ones.

An agent sends its whole conversation again at every step, so a body is stored as what lies between the longest common
prefix and suffix with one of the bodies before it. Stored form, little-endian:

    u32 number of the exchange whose body is the base (0 = none), u32 prefix length, u32 suffix length | the middle

A base is always an exchange of the same session whose body was stored before (of two that are under way together the
later one's may come first). The encoder keeps the recent ones; the reader follows the chain of bases back.
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


class DeltaEncoder:
    """BodyEncoder by prefix and suffix against the 8 most recently used bodies."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, tuple[bytes, bool]] = OrderedDict()
        self._asked: bytes | None = None  # the body last looked for, and its base: it is asked after twice
        self._found = (0, 0)

    def _base(self, body: bytes) -> tuple[int, int]:
        """The recent body that begins most like this one (0 = none), and for how long."""
        if self._asked is body:
            return self._found
        best, best_length = 0, 0
        for number in reversed(self._recent):
            length = common_prefix(self._recent[number][0], body)
            if length > best_length:
                best, best_length = number, length
                if length * 10 >= len(body) * 9:
                    break
        self._asked, self._found = body, (best, best_length)
        return self._found

    def clean_prefix(self, body: bytes) -> int:
        base, length = self._base(body)
        return length if base and self._recent[base][1] else 0

    def encode(self, number: int, body: bytes, *, clean: bool) -> Encoded:
        base, prefix = self._base(body)
        self._asked = None
        suffix = 0
        if base:
            suffix = common_suffix(self._recent[base][0], body, min(len(self._recent[base][0]), len(body)) - prefix)
        _remember(self._recent, number, (body, clean), base)
        return Encoded(_RECIPE.pack(base, prefix, suffix) + body[prefix : len(body) - suffix], base)


class Bodies:
    """The stored bodies of a session by exchange number, decoded on demand; a few stay decoded."""

    def __init__(self) -> None:
        self._stored: dict[int, bytes] = {}
        self._place: dict[int, int] = {}  # rank in the order of storing: chains only lead back in it
        self._lengths: dict[int, int] = {}  # of bodies whose bases have been followed
        self._decoded: OrderedDict[int, bytes] = OrderedDict()

    def put(self, number: int, stored: bytes) -> None:
        """Keep the stored form of an exchange's body, in the order in which they were encoded."""
        self._stored[number] = stored
        self._place[number] = len(self._place)

    def get(self, number: int) -> bytes:
        """The exact bytes that were encoded. Raises ValueError when the stored form is not what an encoder wrote."""
        self.check(number)
        chain: list[int] = []
        at = number
        while at and at not in self._decoded:
            chain.append(at)
            at = self._recipe(at)[0]
        body = self._decoded[at] if at else b""
        for at in reversed(chain):
            _, prefix, suffix = self._recipe(at)
            middle = self._stored[at][_RECIPE.size :]
            body = body[:prefix] + middle + (body[len(body) - suffix :] if suffix else b"")
            self._decoded[at] = body
            if len(self._decoded) > BASES:
                self._decoded.popitem(last=False)
        return body

    def check(self, number: int) -> None:
        """Follow the bases of a body without decoding it. Raises ValueError as `get` would."""
        chain: list[int] = []
        at = number
        while at and at not in self._lengths:
            base, _, _ = self._recipe(at)
            if base and self._place.get(base, -1) >= self._place[at]:
                raise ValueError(f"the body of exchange {at} refers to itself or to a later one")
            chain.append(at)
            at = base
        length = self._lengths[at] if at else 0
        for at in reversed(chain):
            _, prefix, suffix = self._recipe(at)
            if prefix + suffix > length:
                raise ValueError(f"the body of exchange {at} refers past the end of its base")
            length = self._lengths[at] = prefix + suffix + len(self._stored[at]) - _RECIPE.size

    def _recipe(self, number: int) -> tuple[int, int, int]:
        stored = self._stored.get(number)
        if stored is None or len(stored) < _RECIPE.size:
            raise ValueError(f"the body of exchange {number} is not at hand")
        base, prefix, suffix = _RECIPE.unpack_from(stored)
        return base, prefix, suffix


def _remember(recent: OrderedDict[int, _Kept], number: int, kept: _Kept, base: int) -> None:
    """Least recently used goes first; using a base counts as use."""
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
