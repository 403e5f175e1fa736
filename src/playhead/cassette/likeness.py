"""JSON values told by their likeness to an earlier one, so that what is new stands verbatim and what returns is a word.

An agent sends its conversation again at every step. `tell(value, base)` leaves out of `value` what stands in `base`;
`hear(told, base)` gives it back. In what is told, an object with the single key `$` is a reference, always relative to
the base at the same place:

    {"$": "same"}                     the whole value
    {"$": [start, count]}             in an array: so many elements of the base's array, from `start`
    {"$": [front, "new text", back]}  a string: the first `front` characters of the base's, new text, the last `back`

In arrays a cursor goes along the base's: a reference sets it behind what it took, and may not go back; any other
element is relative to the base's element at the cursor, and moves it by one. In objects, members are relative to the
base's of the same name. So every part of the base is used at most once, and nothing told can unfold to more than its
base and itself: a cassette is hostile input. Likeness ends at DEPTH; below, values are told in full.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from playhead.core.alike import common_back, common_front

if TYPE_CHECKING:
    from playhead.cassette.limits import Budget

REFERENCE = "$"
DEPTH = 8
WORTH = 48  # characters of JSON that a value must have to be worth a reference
_STRING_WORTH = 256
_FEW = 4  # so many short elements are told in full
_MISSING = object()


class NotTold(ValueError):
    """A value that cannot be told: it has objects of its own that look like references."""


class Misheard(ValueError):
    """What is told refers to something that its base does not have."""


def tell(value: Any, base: Any) -> Any:
    """`value` with references to `base`. Raises NotTold."""
    return _tell(value, base, DEPTH)


def hear(told: Any, base: Any, budget: Budget) -> Any:
    """What `tell` was given; parts of it are parts of `base`. Raises Misheard, and UnfoldsTooFar when the budget ends."""
    return _hear(told, base, DEPTH, budget)


def _literal(value: Any, depth: int) -> Any:
    """`value`, told in full. Raises NotTold where it would be taken for a reference."""
    if depth >= 0:
        if isinstance(value, dict):
            if REFERENCE in value:
                raise NotTold("an object with the key $")
            for each in value.values():
                _literal(each, depth - 1)
        elif isinstance(value, list):
            for each in value:
                _literal(each, depth - 1)
    return value


def _is_long(value: Any) -> bool:
    return _length(value, WORTH) >= WORTH


def _length(value: Any, enough: int) -> int:
    """About how many characters of JSON a value has; counting stops at `enough`."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, dict):
        total = 2
        for key, each in value.items():
            if total >= enough:
                break
            total += len(key) + 4 + _length(each, enough - total)
        return total
    if isinstance(value, list):
        total = 2
        for each in value:
            if total >= enough:
                break
            total += 1 + _length(each, enough - total)
        return total
    return 4


def _same(a: Any, b: Any) -> bool:
    """Equal also in kind: Python takes 1 for 1.0 and for True, and objects of another order for equal."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        if len(a) != len(b):
            return False
        return all(ka == kb and _same(va, vb) for (ka, va), (kb, vb) in zip(a.items(), b.items(), strict=True))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float):
        return repr(a) == repr(b)
    return bool(a == b)


def _tell(value: Any, base: Any, depth: int) -> Any:
    if base is _MISSING or depth < 0 or type(value) is not type(base):
        return _literal(value, depth)
    if isinstance(value, str):
        return _tell_string(value, base)
    if isinstance(value, dict):
        if _is_long(value) and _same(value, base):
            return {REFERENCE: "same"}
        if REFERENCE in value:
            raise NotTold("an object with the key $")
        return {key: _tell(each, base.get(key, _MISSING), depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        if _is_long(value) and _same(value, base):
            return {REFERENCE: "same"}
        return _tell_list(value, base, depth - 1)
    return value


def _tell_string(value: str, base: str) -> Any:
    if len(value) + 2 >= WORTH and value == base:
        return {REFERENCE: "same"}
    if min(len(value), len(base)) < _STRING_WORTH:
        return value
    front = common_front(value, base)
    back = common_back(value, base, min(len(value), len(base)) - front)
    if (front + back) * 2 < len(value):
        return value
    return {REFERENCE: [front, value[front : len(value) - back], back]}


def _tell_list(value: list[Any], base: list[Any], depth: int) -> list[Any]:
    told: list[Any] = []
    start = count = 0  # elements taken from the base that are not told yet
    finder = _Finder(base)
    cursor = 0
    for each in value:
        at = finder.find(each, cursor)
        if count and at != cursor:
            told += _taken(base, start, count, depth)
            count = 0
        if at < 0:
            told.append(_tell(each, base[cursor] if cursor < len(base) else _MISSING, depth))
            cursor += 1
            continue
        if not count:
            start = at
        count += 1
        cursor = at + 1
    return told + _taken(base, start, count, depth)


def _taken(base: list[Any], start: int, count: int, depth: int) -> list[Any]:
    taken = base[start : start + count]
    if count > _FEW or _is_long(taken):
        return [{REFERENCE: [start, count]}]
    return [_literal(each, depth) for each in taken]


class _Finder:
    """Finds elements in an array, at a place or behind it."""

    def __init__(self, base: list[Any]) -> None:
        self._base = base
        self._places: dict[str, list[int]] = {}  # by the element's JSON; made when it is needed first

    def find(self, element: Any, cursor: int) -> int:
        """The next place at which the element stands, -1 for none. Short ones are looked for at the cursor only: what
        is told literally must stand where the cursor is."""
        if cursor < len(self._base) and _same(element, self._base[cursor]):
            return cursor
        if cursor >= len(self._base) or not _is_long(element):
            return -1
        if not self._places:
            for number in range(cursor, len(self._base)):
                self._places.setdefault(_key(self._base[number]), []).append(number)
        places = self._places.get(_key(element), [])
        at = bisect_right(places, cursor)
        return places[at] if at < len(places) else -1


def _key(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _hear(told: Any, base: Any, depth: int, budget: Budget) -> Any:
    if depth < 0 or base is _MISSING:
        return told
    if isinstance(told, dict):
        if len(told) == 1 and REFERENCE in told:
            return _referred(told[REFERENCE], base, budget)
        known = base if isinstance(base, dict) else {}
        return {key: _hear(each, known.get(key, _MISSING), depth - 1, budget) for key, each in told.items()}
    if isinstance(told, list):
        return _hear_list(told, base, depth - 1, budget) if isinstance(base, list) else told
    return told


def _referred(reference: Any, base: Any, budget: Budget) -> Any:
    if reference == "same":
        return base
    if isinstance(reference, list) and len(reference) == 3 and isinstance(base, str):
        front, new, back = reference
        sound = type(front) is int and type(back) is int and isinstance(new, str)
        if sound and front >= 0 and back >= 0 and front + back <= len(base):
            budget.take(4 * (front + len(new) + back))
            return base[:front] + new + base[len(base) - back :]
    raise Misheard("a reference that its base cannot answer")


def _hear_list(told: list[Any], base: list[Any], depth: int, budget: Budget) -> list[Any]:
    out: list[Any] = []
    cursor = 0
    for each in told:
        reference = each.get(REFERENCE) if isinstance(each, dict) and len(each) == 1 else None
        if isinstance(reference, list) and len(reference) == 2:
            start, count = reference
            if type(start) is not int or type(count) is not int or not cursor <= start <= start + count <= len(base):
                raise Misheard("a reference past its base, or back in it")
            budget.pointers(count)
            out += base[start : start + count]
            cursor = start + count
            continue
        out.append(_hear(each, base[cursor] if cursor < len(base) else _MISSING, depth, budget))
        cursor += 1
    return out
