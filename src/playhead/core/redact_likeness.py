"""Events of one answer are alike but for their text: what was judged of one holds for the next, and only the text is asked.

An event is `before + text + behind`, where `before` ends and `behind` begins with the quote around the text. If the last one
was calm, another with the same `before` and `behind` is, as long as its text is: no name, escape or run reaches over a
quote, and what could reach over the text (the name of a run behind it) is asked when the likeness is learned.
"""

from __future__ import annotations

from typing import NamedTuple

from playhead.core import redact_rules as rules
from playhead.core.redact_scan import SHAPE
from playhead.core.redact_short import BEFORE_QUOTE

_RUN = b"a" * rules.RUN


class Likeness(NamedTuple):
    """The bytes of an event around its only text, and the place whose text it goes on."""

    before: bytes
    behind: bytes
    place: tuple[bytes, ...]

    def text(self, data: bytes) -> bytes | None:
        """The text of the event if it is alike and its text is nothing but letters of one line."""
        first, last = len(self.before), len(data) - len(self.behind)
        if first >= last or not data.startswith(self.before) or not data.endswith(self.behind):
            return None
        text = data[first:last]
        if text.translate(None, _APART) != text or text[-4:].lower().endswith(BEFORE_QUOTE):
            return None
        if len(text) >= rules.RUN and text.translate(SHAPE).find(_RUN) >= 0:
            return None
        return text


_APART = b'"<\r\n\\'


def likeness(payload: bytes, first: int, last: int, place: tuple[bytes, ...]) -> Likeness | None:
    """What the calm event `payload` teaches, whose only text is `payload[first:last]`; None when a rule could reach over the
    text."""
    before, behind = payload[:first], payload[last:]
    if b"<" in before or b"<" in behind or b"\r" in payload or not behind.rstrip(b"\n").endswith(b"}"):
        return None
    # a run is named by what stands before it, never from beyond a brace
    if not _is_fenced(before, b"{") or not _is_fenced(behind, b"}"):
        return None
    return Likeness(before, behind, place)


def _is_fenced(part: bytes, fence: bytes) -> bool:
    run = part.translate(SHAPE).find(_RUN)
    return run < 0 or fence in part[:run]
