"""A divergence: where a replay stopped being the recording, as data and as a report of at most 25 lines."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from playhead.matching.compare import ABSENT

if TYPE_CHECKING:
    from playhead.matching.fingerprint import Canonical

_WIDTH = 110
_INDENT = 12
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b")  # as `object.__repr__` has it


class DivergenceClass(StrEnum):
    """In what way a replay left the recording."""

    CHANGED = "changed"
    EXTRA = "extra"
    MISSING = "missing"
    REORDERED = "reordered"
    EXHAUSTED = "exhausted"
    LEAKED = "leaked"


_HEADLINES = {
    DivergenceClass.CHANGED: "the run asked something else than the recording",
    DivergenceClass.EXTRA: "the run asked more than the recording",
    DivergenceClass.MISSING: "the run did not ask what the recording did",
    DivergenceClass.REORDERED: "the run asked in another order than the recording",
    DivergenceClass.EXHAUSTED: "the run repeated a request more often than the recording",
    DivergenceClass.LEAKED: "the run reached past the tape",
}
_MEANINGS = {
    DivergenceClass.CHANGED: "a request of this step was recorded, with other contents",
    DivergenceClass.EXTRA: "no recorded request is left that this could be",
    DivergenceClass.MISSING: "this recorded request never came",
    DivergenceClass.REORDERED: "recorded, but at another place in the order",
    DivergenceClass.EXHAUSTED: "all recorded answers to this request are used up",
    DivergenceClass.LEAKED: "a connection went where no recording could answer",
}


@dataclass(frozen=True, slots=True)
class Divergence:
    """One divergence. `step` is the recorded step (None when there is none), `nearest` the address of the closest
    recorded request (`7f3a2b9c:4`), `path`, `expected` and `observed` as of `compare.Difference` with `column` the place
    of the first differing character. `asked`, `likeness` (0 to 1), `headline` and `meaning` (for those of the class) serve
    the report only, `at_ns` (when it happened, on the monotonic clock) the order among several processes."""

    kind: DivergenceClass
    step: int | None = None
    lane: str = "main"
    path: str | None = None
    expected: str | None = None
    observed: str | None = None
    nearest: str | None = None
    asked: str = ""
    nearest_asked: str = ""
    column: int | None = None
    likeness: float | None = None
    masks: tuple[str, ...] = ()
    headline: str = ""
    meaning: str = ""
    at_ns: int = 0

    def to_json(self) -> dict[str, Any]:
        """As an element of `divergences` in a replay's summary."""
        return {
            "class": self.kind.value,
            "step": self.step,
            "lane": self.lane,
            "path": self.path,
            "expected": self.expected,
            "observed": self.observed,
            "nearest": self.nearest,
        }


def render(divergence: Divergence, command: str) -> str:
    """The report for people: class and step, what was asked, the closest recorded request, the JSON path, both sides
    around the first differing character with a caret under it, a hint where the cause shows, and `command` as what to run
    next."""
    where = f"step {divergence.step}" if divergence.step is not None else "no recorded step"
    lane = f", lane {divergence.lane}" if divergence.lane != "main" else ""
    lines = [f"diverged at {where}{lane}: {divergence.headline or _HEADLINES[divergence.kind]}"]
    lines += _field("asked", divergence.asked)
    if divergence.nearest:
        alike = f" ({_percent(divergence.likeness)} alike)" if divergence.likeness is not None else ""
        lines += _field("closest", f"{divergence.nearest}{alike} {divergence.nearest_asked}".rstrip())
    lines += _field("at", divergence.path or "")
    lines += _sides(divergence)
    lines += _field("class", f"{divergence.kind}: {divergence.meaning or _MEANINGS[divergence.kind]}")
    lines += _field("hint", _hint(divergence))
    lines += _field("masks", ", ".join(divergence.masks))
    lines += _field("next", command)
    return "\n".join(lines)


def _sides(divergence: Divergence) -> list[str]:
    lines: list[str] = []
    for name, text in (("expected", divergence.expected), ("seen", divergence.observed)):
        if text is not None:
            lines.append(f"  {name + ':':<{_INDENT - 2}}{text}")
    if (
        divergence.column is not None
        and divergence.observed is not None
        and ABSENT not in (divergence.expected, divergence.observed)
    ):
        lines.append(" " * (_INDENT + divergence.column) + "^")
    return lines


def _hint(divergence: Divergence) -> str:
    """What to do about it, where the first differing character says so by itself."""
    sides = (divergence.expected or "", divergence.observed or "")
    if divergence.column is not None and all(
        any(found.start() <= divergence.column < found.end() for found in _ADDRESS.finditer(side)) for side in sides
    ):
        return "an object's address in memory, which no replay can give again: give its class a __repr__"
    return ""


def _field(name: str, text: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {name + ':':<{_INDENT - 2}}",
        subsequent_indent=" " * _INDENT,
        max_lines=3,
        placeholder=" …",
        break_on_hyphens=False,
    )


def _percent(likeness: float) -> str:
    return f"{min(int(likeness * 100), 99) if likeness < 1 else 100} %"


def describe(request: Canonical) -> str:
    """What a request asks, in one line: `POST api.openai.com/v1/chat/completions, gpt-5, 3 messages`."""
    parts = dict(request.tree)
    words = [f"{parts['method']} {parts['host']}{parts['path']}"]
    body = parts.get("body")
    if isinstance(body, tuple):
        members = dict(body)
        if isinstance(members.get("model"), str):
            words.append(members["model"][:64])
        for name, noun in (("messages", "message"), ("input", "input item"), ("contents", "content")):
            if isinstance(members.get(name), list):
                count = len(members[name])
                words.append(f"{count} {noun}{'' if count == 1 else 's'}")
                break
    return ", ".join(words)
