"""Reading decoded JSON that nobody vouches for: each function gives the wanted type or its empty value, and never raises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

JsonObject = dict[str, Any]

Headers = list[tuple[str, str]]


def decoded(data: bytes | str) -> Any:
    """The JSON value in `data`; None when it is not JSON (or is `null`). NaN and infinities, which some servers send,
    become their names, so that what is read can be written again."""
    try:
        return json.loads(data, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def encoded(value: Any) -> str:
    """`value` as compact JSON text, keys in the order they came."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        return ""


def as_object(value: Any) -> JsonObject:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def as_objects(value: Any) -> list[JsonObject]:
    """The objects of a JSON array; whatever else it holds is left out."""
    return [each for each in as_list(value) if isinstance(each, dict)]


def as_text(value: Any) -> str:
    """`value` if it is text, else empty."""
    return value if isinstance(value, str) else ""


def as_name(value: Any) -> str | None:
    """`value` if it is text that says something, else None."""
    return value if isinstance(value, str) and value else None


def as_count(value: Any) -> int | None:
    """`value` as a count of something: an integer of at least 0 (some servers write `12.0`), else None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def as_index(value: Any, fallback: int) -> int:
    """`value` as a position in a list, or `fallback`."""
    count = as_count(value)
    return fallback if count is None else count


def total(*counts: int | None) -> int | None:
    """Sum of the counts that are known; None when none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def first(*values: Any) -> Any:
    """The first value that is not None."""
    return next((value for value in values if value is not None), None)


def without(source: JsonObject, names: Iterable[str]) -> JsonObject:
    """A copy of `source` without `names` and without nulls."""
    hidden = set(names)
    return {name: value for name, value in source.items() if name not in hidden and value is not None}


def header(headers: Headers, name: str) -> str:
    """The first value of a header, names compared without case; empty when absent. `name` is given in lower case."""
    return next((value for key, value in headers if key.lower() == name), "")
