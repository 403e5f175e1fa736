"""Bytes as people read them, where the exact bytes can be had back: JSON as JSON, text as text, the rest as base64.

    {"json": value}                     serialised without spaces, non-ASCII characters as they are
    {"json": value, "style": name}      serialised in another of STYLES
    {"text": "..."}                     UTF-8
    {"base64": "..."}                   anything

`show` takes the first of these that gives the bytes back; it has tried.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

STYLES: dict[str, tuple[tuple[str, str], bool]] = {
    "compact": ((",", ":"), False),
    "spaced": ((", ", ": "), False),
    "compact-ascii": ((",", ":"), True),
    "spaced-ascii": ((", ", ": "), True),
}
PLAIN_STYLE = "compact"
_KNOWN_BYTES = 64 << 20  # of serialised elements that are kept
_OVERHEAD = 200  # bytes that keeping one takes besides


class Unshown(ValueError):
    """A payload that is none of the forms above."""


def serialise(value: Any, style: str) -> bytes:
    """JSON in one of the STYLES. Raises KeyError, ValueError, RecursionError."""
    separators, ascii_only = STYLES[style]
    return json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode()


def show(data: bytes) -> dict[str, Any]:
    """The most readable form of `data`."""
    if data[:1] in (b"{", b"["):
        shown = as_json(data)
        if shown is not None:
            return shown
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def hide(shown: dict[str, Any], as_bytes: Callable[[Any, str], bytes] = serialise) -> bytes:
    """The bytes of a shown form. `as_bytes` stands in for `serialise`. Raises Unshown."""
    try:
        if "json" in shown:
            return as_bytes(shown["json"], shown.get("style", PLAIN_STYLE))
        if "text" in shown:
            return str(shown["text"]).encode()
        if "base64" in shown:
            return b64decode(shown["base64"], validate=True)
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError) as error:
        raise Unshown(f"a payload that cannot be given back ({error})"[:200]) from None
    return b""


class Serialiser:
    """`serialise` for values that mostly return: each object is serialised once. They must not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[Any, bytes]] = {}  # with the object, so that its id stays its own
        self._size = 0

    def __call__(self, value: Any, style: str) -> bytes:
        """The bytes that `serialise` gives."""
        found = self._known.get((id(value), style))
        if found is None:
            data = serialise(value, style)
            if self._size + len(data) > _KNOWN_BYTES:
                self._known.clear()
                self._size = 0
            self._size += len(data) + _OVERHEAD
            found = self._known[id(value), style] = value, data
        return found[1]


def as_json(data: bytes) -> dict[str, Any] | None:
    """`data` as JSON, None where that would not give the same bytes."""
    try:
        text = data.decode()
        value = json.loads(text)
        likely = [name for name in STYLES if STYLES[name][0] == _separators(text)]
        for name in likely:
            if serialise(value, name) == data:
                return {"json": value} if name == PLAIN_STYLE else {"json": value, "style": name}
    except (ValueError, RecursionError):
        pass
    return None


def _separators(text: str) -> tuple[str, str]:
    """Whether there is a space behind the first colon or comma of a JSON text that stands outside a string."""
    inside = escaped = False
    for at, character in enumerate(text[:4096]):
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in ":,":
            return (", ", ": ") if text[at + 1 : at + 2] == " " else (",", ":")
    return (",", ":")


def show_head(head: bytes) -> list[str] | str:
    """A message head as its lines, without their ends and the empty line; base64 where it is not that."""
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return b64encode(head).decode()
    return text[:-4].split("\r\n") if text.endswith("\r\n\r\n") else b64encode(head).decode()


def hide_head(shown: Any) -> bytes:
    """The bytes of a shown head. Raises Unshown."""
    if isinstance(shown, list) and all(isinstance(line, str) for line in shown):
        try:
            return ("\r\n".join(shown) + "\r\n\r\n").encode()
        except UnicodeEncodeError:
            raise Unshown("a head with half a character") from None
    try:
        return b64decode(shown, validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise Unshown("a head that cannot be given back") from None
