"""Python values as JSON and back: what a call at a boundary was given, and what it answered.

JSON's own types stand for themselves. Everything else is an object with the key `$`, which says what it is:

    {"$":"tuple","v":[1,2]}   {"$":"datetime","v":"2026-01-02T03:04:05"}   {"$":"object","class":"shop:Order","state":{...}}

Two ways in: `write` is exact, and marks what cannot be stored, so that `read` refuses it by name; `describe` is for
comparing arguments: keys and sets are sorted, and what cannot be stored is told by its class and its public attributes,
never by its address. One way out: `read`, which takes a recording for hostile input. It imports no module that the
recording names, looks classes up among the loaded ones without running a line of theirs, and builds objects by `__new__`
of a builtin type and by setting their state. What is shared between two places of a value is there twice afterwards.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from playhead.core.compact import dumper, load

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "$"
DEEPEST = 100
"""Levels of nesting that are stored."""
LARGEST = 32 << 20
"""Bytes of one value that are stored; a record of a segment takes twice as many."""

_INT = 1 << 63  # larger ones as hexadecimal digits: decimal ones are slow, and limited by Python


class Unreadable(ValueError):
    """What stands in the recording is no value that can be built here. The text says why."""


def write(value: Any) -> bytes:
    """The value, exactly. Never raises: what cannot be stored is marked with its class, and `read` refuses it."""
    try:
        body = _dump(tree(value, 0, marked)).encode()
        if len(body) <= LARGEST:
            return body
        why = f"larger than {LARGEST >> 20} MiB"
    except Exception as error:  # noqa: BLE001  a class of the agent may do anything
        why = f"{type(error).__name__} while it was read"
    return _dump(unstorable(value, why)).encode()


def describe(value: Any) -> bytes:
    """The value as far as it tells one call from another, in canonical form. Never raises."""
    try:
        found = tree(value, 0, _Described().unknown)
        text = canonical(found)
        if '"$"' in text:
            from playhead.capture.boundary.describing import in_order

            text = canonical(in_order(found))
        body = text.encode()
        if len(body) <= LARGEST:
            return body
        from hashlib import sha256

        return _dump(unstorable(value, f"larger than {LARGEST >> 20} MiB, sha256 {sha256(body).hexdigest()}")).encode()
    except Exception as error:  # noqa: BLE001  a class of the agent may do anything
        return _dump(unstorable(value, f"{type(error).__name__} while it was read")).encode()


def read(body: bytes) -> Any:
    """The value that `write` wrote. Raises Unreadable."""
    if len(body) > 2 * LARGEST:
        raise Unreadable("a value of more bytes than any that is written")
    try:
        found = load(body)
        return found if b'"$"' not in body else value_of(found, 0)
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001  hostile input may make builtin types raise anything
        raise Unreadable(f"not a stored value ({type(error).__name__})") from None


def write_raised(error: BaseException, outer: BaseException | None = None) -> bytes:
    """An exception, with what it was raised from. `outer` is what its caller was handling: not part of it."""
    from playhead.capture.boundary.raised import tree_of

    try:
        body = _dump(tree_of(error, 0, marked, outer)).encode()
        if len(body) <= LARGEST:
            return body
        why = f"larger than {LARGEST >> 20} MiB"
    except Exception as fault:  # noqa: BLE001  a class of the agent may do anything
        why = f"{type(fault).__name__} while it was read"
    return _dump(unstorable(error, why)).encode()


def read_raised(body: bytes) -> BaseException:
    """The exception that `write_raised` wrote. Raises Unreadable."""
    found = read(body)
    if not isinstance(found, BaseException):
        raise Unreadable("a value stands where an exception is due")
    return found


# -- between values and what JSON has; recursive


def tree(value: Any, depth: int, unknown: Callable[[Any, int], Any]) -> Any:  # noqa: C901  one line a type, in order of use
    """What JSON has for the value; `unknown` is asked about what has no form. Raises what walking the value raises."""
    cls = type(value)
    if cls is str:
        return value if value.isascii() or _is_text(value) else _surrogates(value)
    if value is None or cls is bool:
        return value
    if cls is int:
        return value if -_INT <= value < _INT else {MARK: "int", "v": hex(value)}
    if cls is float:
        return value if isfinite(value) else {MARK: "float", "v": repr(value)}
    if depth >= DEEPEST:
        return unstorable(value, f"deeper than {DEEPEST} levels")
    depth += 1
    if cls is dict:
        for key in value:
            if type(key) is not str or key == MARK or not (key.isascii() or _is_text(key)):
                return {MARK: "dict", "v": pairs(value, depth, unknown)}
        return _values(value, depth, unknown)
    if cls is list:
        return [tree(each, depth, unknown) for each in value]
    if cls is tuple:
        return {MARK: "tuple", "v": [tree(each, depth, unknown) for each in value]}
    from playhead.capture.boundary.forms import form_of

    return form_of(cls)(value, depth, unknown)


def _values(value: dict[str, Any], depth: int, unknown: Callable[[Any, int], Any]) -> dict[str, Any]:
    """A dict whose keys are JSON's. Most hold nothing but what JSON has, and stand for themselves."""
    found = value
    for key, each in value.items():
        kind = type(each)
        if (kind is str and each.isascii()) or kind is bool or each is None or (kind is int and -_INT <= each < _INT):
            continue
        stored = tree(each, depth, unknown)
        if stored is not each:
            if found is value:
                found = value.copy()
            found[key] = stored
    return found


def pairs(value: dict[Any, Any], depth: int, unknown: Callable[[Any, int], Any]) -> list[Any]:
    """The items of a dict whose keys are no JSON keys."""
    return [[tree(key, depth, unknown), tree(each, depth, unknown)] for key, each in dict.items(value)]


def unstorable(value: Any, why: str = "") -> dict[str, Any]:
    """What stands in the place of a value that cannot be stored."""
    from playhead.capture.boundary.classes import name_of

    return {MARK: "unstorable", "class": name_of(type(value)), **({"why": why} if why else {})}


def value_of(found: Any, depth: int) -> Any:
    """What JSON has, as the value it stands for. Raises Unreadable, and whatever builtin types raise for bad input."""
    if depth > 3 * DEEPEST:  # a level of a value is up to three of JSON
        raise Unreadable(f"deeper than {DEEPEST} levels")
    if isinstance(found, list):
        return [value_of(each, depth + 1) for each in found]
    if not isinstance(found, dict):
        return found
    kind = found.get(MARK)
    if kind is None:
        return {key: value_of(each, depth + 1) for key, each in found.items()}
    if kind == "tuple":
        return tuple([value_of(each, depth + 1) for each in found["v"]])
    from playhead.capture.boundary.forms import READERS

    reader = READERS.get(kind)
    if reader is None:
        raise Unreadable(f"an unknown kind of value: {str(kind)[:40]}")
    return reader(found, depth + 1)


class _Described:
    """What tells of values without a form; it is made when there is one."""

    _telling: Any = None

    def unknown(self, value: Any, depth: int) -> Any:
        if self._telling is None:
            from playhead.capture.boundary.describing import Describing

            self._telling = Describing()
        return self._telling.unknown(value, depth)


def marked(value: Any, _depth: int) -> Any:
    """What exact writing has for a value without a form."""
    return unstorable(value)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _surrogates(value: str) -> dict[str, Any]:
    return {MARK: "str", "v": value.encode("utf-8", "surrogatepass").hex()}


_dump = dumper(is_ascii=False, allow_nan=False)
canonical = dumper(is_ascii=False, allow_nan=False, sort_keys=True)
