"""Regular expressions that are compiled when they are first asked.

There are about a hundred in the rules for secrets, and compiling them all takes 30 ms of processor time, which every command
and every agent that loads the rules would pay, whichever of them it comes to ask. Standard library only.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, AnyStr


class _Late:
    """Stands for a pattern. Once compiled, the pattern's methods are found in its own dictionary, where asking for one
    takes as long as it does on a pattern."""

    def __init__(self, source: Callable[[], re.Pattern[Any]]) -> None:
        self._source = source

    def __repr__(self) -> str:
        return f"late({self._source()!r})"

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # of copying and pickling, which a pattern is not asked for here
            raise AttributeError(name)
        pattern = self._source()
        for method in ("search", "match", "fullmatch", "finditer", "findall", "sub", "split"):
            setattr(self, method, getattr(pattern, method))
        return getattr(pattern, name)


def late(source: AnyStr | Callable[[], AnyStr], flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, but not before a method of the pattern is asked for; then also a `source` that is a function is
    called. Raises `re.error` only then."""
    return _Late(lambda: re.compile(source() if callable(source) else source, flags))  # type: ignore[return-value]
