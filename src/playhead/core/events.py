"""What a journal can say: the kinds of event and the event itself.

An event never changes once written. `subject` is the number of the thing it speaks of (exchange, connection, lane,
file descriptor), by kind. `meta` is small structured data, `body` is opaque bytes. `seq` counts from 0 without a gap
inside one segment; (segment, seq) names an event in a session.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum

from playhead.core import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final


class EventKind(IntEnum):
    """Numbers on disk; never reuse one. The comment gives subject, meta keys and body."""

    SEGMENT = (
        numbers.SEGMENT
    )  # 0; {"segment", "format", "playhead", "pid", "wall_ns", "mono_ns"}; first record of each segment
    SESSION = 2  # 0; the session's header (see sessions.model.Header); in the launcher's segment, right after SEGMENT
    LANE = numbers.LANE  # lane; {"key", "pid", "parent", "argv"}: a process (or task, thread) that asks
    CONNECTION = 4  # connection; {"entrance", "route", "peer", "tls", "alpn"}
    OPEN = 10  # exchange; {"connection", "scheme", "host", "port", "route", "reused"}: the intent, written before the question leaves
    REQUEST = 11  # exchange; {"head": length, "lane", "mark", "within", "orders", "cut": body bytes asked, of a request never completed}; body = head bytes + encoded request body, redacted
    REQUEST_PART = 12  # exchange; {}; a piece of a request body too large for one record, before its REQUEST
    ANSWER = 13  # exchange; {"held": bytes of this read that stand in the next records, "said": how many messages and closes of a websocket's server were whole with it, "instead": number of reads that this body replaces: their lengths as u32, their bytes}; one read of the answer, redacted
    END = 14  # exchange; {"how": Ending, "detail"}: written alone unless the last ANSWER carries Flag.LAST
    UPSTREAM = 15  # exchange; {"address", "tls", "reused", "error"}: how the world was reached
    SENT = 16  # exchange; {"said": how many messages and closes of a websocket were whole with it}; bytes the client sent after an upgrade (websocket, h2), as one read brought them, or later: what redaction has not judged waits
    NOT_CAPTURED = 20  # 0; {"host", "reason", "bytes"}: traffic that was seen and not recorded
    STDIO = 30  # file descriptor 0, 1 or 2; {}; bytes as read, redacted; empty body = end of file
    EXIT = 31  # 0; {"code", "signal", "duration_s"}: the child ended
    INCOMPLETE = 40  # 0; {"reason"}: from here on the recording has holes
    CLOSED = numbers.CLOSED  # 0; {}: the segment's writer ended in order; nothing follows
    ASK = numbers.ASK  # call; {"lane", "n": ordinal in the lane, "kind", "name", "effect", "passed": its answer is on the wire}; the intent of a call at a boundary inside the agent; body = arguments, canonical JSON, redacted
    TOLD = (
        numbers.TOLD
    )  # call; {"raised"}; body = what it returned or raised, JSON, redacted; written before the agent has it
    VALUES = numbers.VALUES  # 0; {}; body = JSON [[lane, [kind, value, kind, value, ...]], ...]: what lanes read of clocks and the like, in their order
    ORDER = (
        numbers.ORDER
    )  # 0; {}; body = (lane, ordinal) as pairs of u32: answers, timers, joins and locks as they were let go
    MARK = numbers.MARK  # 0; {"lane", "what": enter, leave, fail, state, note, error, node, llm, tool, "name", "n": which mark of the process}; what the program says of itself, JSON, redacted


class Flag(IntFlag):
    """Facts about one record that cost a bit instead of a key."""

    FIRST = 1  # ANSWER: the first byte of an answer
    LAST = 2  # ANSWER: the exchange is complete with it
    REDACTED = numbers.REDACTED  # the body differs from the wire by redaction
    ORDER_UNOBSERVED = 8  # ANSWER, END: released before the client was seen at rest after the release before it
    PACKED = 16  # the body was compressed by the journal
    AS_TOLD = numbers.AS_TOLD  # TOLD: its place in the order is here; no ORDER has it


class Ending(StrEnum):
    """How an exchange ended, as the caller saw it."""

    COMPLETE = "complete"
    CLOSED = "closed"  # whole, and ended by the world closing (no length was given)
    CUT = "cut"  # the world closed before the answer was whole
    RESET = "reset"  # the world reset the connection
    ABANDONED = "abandoned"  # the caller went away first
    REFUSED = "refused"  # the world could not be reached
    TIMEOUT = "timeout"  # the world did not take the connection in time
    REJECTED = "rejected"  # TLS with the world failed


RESETTING = frozenset({Ending.RESET, Ending.REFUSED, Ending.TIMEOUT, Ending.REJECTED})
"""Endings that reach the caller as a TCP reset."""


class Event:
    """One journal record, decoded. No dataclass: the agent's own process reads them too, and `dataclasses` takes as long to
    load as all that a hooked Python loads of ours."""

    __slots__ = ("body", "flags", "kind", "meta", "segment", "seq", "subject", "t_ns")

    def __init__(
        self,
        kind: EventKind,
        seq: int,
        t_ns: int,
        subject: int = 0,
        flags: int = 0,
        meta: dict[str, Any] | None = None,
        body: bytes = b"",
        segment: str = "",
    ) -> None:
        self.kind: Final = kind
        self.seq: Final = seq
        self.t_ns: Final = t_ns
        self.subject: Final = subject
        self.flags: Final = flags
        self.meta: Final[dict[str, Any]] = {} if meta is None else meta
        self.body: Final = body
        self.segment: Final = segment

    def _values(self) -> tuple[Any, ...]:
        return self.kind, self.seq, self.t_ns, self.subject, self.flags, self.meta, self.body, self.segment

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Event{self._values()}"

    def replaced(self, **changes: Any) -> Event:
        """The same event but for those attributes."""
        return Event(**{name: getattr(self, name) for name in self.__slots__} | changes)
