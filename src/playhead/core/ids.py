"""Names of sessions: 16 random hex digits, of which people see 8."""

from __future__ import annotations

import os

SHOWN_DIGITS = 8
SHORTEST_PREFIX = 4
_FORBIDDEN_IN_NAMES = ":/~\\\0"


def new_session_id() -> str:
    """A fresh session id: 16 lower-case hex digits from the operating system's random source."""
    return os.urandom(8).hex()


def is_session_id(text: str) -> bool:
    """Whether `text` is a whole session id."""
    return len(text) == 16 and is_id_prefix(text)


def is_id_prefix(text: str) -> bool:
    """Whether `text` could abbreviate a session id: at least 4 lower-case hex digits."""
    return SHORTEST_PREFIX <= len(text) <= 16 and all(c in "0123456789abcdef" for c in text)


def is_name(text: str) -> bool:
    """Whether `text` may name a session: printable, none of `: / ~ \\`, not `last`, not empty, at most 128 characters."""
    return (
        0 < len(text) <= 128
        and text != "last"
        and text.isprintable()
        and not any(c in _FORBIDDEN_IN_NAMES for c in text)
    )


def shown(session_id: str) -> str:
    """The 8 digits of a session id that people read."""
    return session_id[:SHOWN_DIGITS]
