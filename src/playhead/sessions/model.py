"""A recording in memory, as its journal tells it. Nothing here knows files, terminals or providers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.core.boundary import lane_mark
from playhead.core.clock import rfc3339
from playhead.core.events import Ending, Flag
from playhead.sessions.call import STEP_KINDS, RecordedCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.events import Event
    from playhead.core.tape import Target
    from playhead.journal.bodies.form import Form
    from playhead.journal.frames import FrameFile
    from playhead.journal.records import Damage
    from playhead.sessions.header import Header
    from playhead.sessions.mark import RecordedMark


class Chunk(NamedTuple):
    """One read of an answer: when, what, and its place in the order of all releases of its segment; of a websocket how many
    messages and closes of the server were whole with it, where somebody counted."""

    t_ns: int
    data: bytes
    order: int
    flags: int
    said: int | None = None


class Sent(NamedTuple):
    """Bytes of the client after an upgrade: when, their place in the order, and how many messages and closes of a websocket were
    whole with the read that brought them; None where nobody counted. What redaction had to wait for stands in a later one;
    `lossy`: some message in it lost a secret."""

    order: int
    t_ns: int
    said: int | None
    lossy: bool
    read: Callable[[], bytes]


@dataclass(slots=True, eq=False)
class RecordedExchange:
    """One exchange as recorded. `number` is also its step. Orders are event numbers of the engine's segment."""

    number: int
    target: Target
    route: str
    connection: int
    reused: bool
    protocol: str
    opened_ns: int
    opened_order: int
    head: bytes = b""
    read_body: Callable[[], bytes] = bytes
    read_form: Callable[[], Form | None] | None = None  # how its body was made of an earlier one
    lane: int = 0
    asked_order: int = -1  # -1: the request is not known
    cut: int | None = None  # bytes of the body that were asked (before redaction), of a request that was never complete
    read_chunks: Callable[[], list[Chunk]] | None = None  # of an answer that stays in its file until it is asked for
    known_flags: int = 0  # of that answer's chunks, or-ed
    lost: str = ""  # what of it is damaged: it cannot be replayed
    ending: Ending | None = None  # None: still under way when the recording ended
    detail: str = ""
    ended_ns: int = 0
    ended_order: int = -1
    ended_flags: int = 0
    request_redacted: bool = False
    upstream: str = ""
    lane_mark: int = 0  # the lane as the agent's own hook names it; 0 = no hook spoke
    orders: bool = False  # whether that hook gave the answer its place in the order
    within: int = 0  # the call of that lane's process in whose course it was asked: a part of that call's answer
    sent: list[Sent] = field(default_factory=list)  # by the client after an upgrade
    _chunks: list[Chunk] = field(default_factory=list)

    @property
    def is_playable(self) -> bool:
        """Whether a replay can answer it at all: HTTP/1.1 whose request is known, and a websocket of which both sides are."""
        is_known = self.protocol == "http/1.1" or (self.protocol == "websocket" and bool(self.sent))
        return is_known and self.asked_order >= 0 and not self.lost

    @property
    def chunks(self) -> list[Chunk]:
        """The reads of the answer."""
        return self._chunks if self.read_chunks is None else self.read_chunks()

    @chunks.setter
    def chunks(self, chunks: list[Chunk]) -> None:
        self.read_chunks, self._chunks = None, chunks

    @property
    def flags(self) -> int:
        """The flags of all reads of the answer, or-ed."""
        if self.read_chunks is not None:
            return self.known_flags
        flags = 0
        for chunk in self._chunks:
            flags |= chunk.flags
        return flags

    @property
    def body(self) -> bytes:
        """The request body as framed on the wire, redacted."""
        return self.read_body()

    @property
    def answer(self) -> bytes:
        """All answer bytes, head included, as they went over the wire."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def lossy(self) -> bool:
        """Whether redaction changed bytes of the answer, so that a replay serves others than the agent once read."""
        return bool(self.flags & Flag.REDACTED)

    @property
    def order_unobserved(self) -> bool:
        """Whether the order of its completions against the one before could not be observed."""
        return bool((self.flags | self.ended_flags) & Flag.ORDER_UNOBSERVED)


@dataclass(frozen=True, slots=True)
class Lane:
    """One thread of control that asked: without a hook, a process, named by its place in the spawn tree."""

    number: int
    key: str
    argv: list[str]

    @property
    def label(self) -> str:
        """`main` for the first process, else its place."""
        return "main" if "/" not in self.key else self.key.split("/", 1)[1]


class StdioChunk(NamedTuple):
    """Bytes that passed a standard stream at one moment; empty = end of file."""

    t_ns: int
    fd: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Uncaptured:
    """Traffic that was seen and not recorded."""

    host: str
    reason: str
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return {"host": self.host, "reason": self.reason, "bytes": self.bytes}


@dataclass(slots=True, eq=False)
class Recording:
    """Everything a session's journal says."""

    header: Header
    started_ns: int  # monotonic
    exchanges: list[RecordedExchange] = field(default_factory=list)
    lanes: dict[int, Lane] = field(default_factory=dict)
    stdio: list[StdioChunk] = field(default_factory=list)
    uncaptured: list[Uncaptured] = field(default_factory=list)
    lane_names: dict[int, str] = field(default_factory=dict)  # by mark (sessions.call.lane_mark)
    calls: list[RecordedCall] = field(default_factory=list)  # of tools and the like, inside the agent's processes
    marks: list[RecordedMark] = field(default_factory=list)  # what the program says of itself
    inside: dict[str, list[Event]] = field(
        default_factory=dict
    )  # process of the agent -> what happened at its boundaries
    incomplete: list[str] = field(default_factory=list)  # reasons
    damage: list[Damage] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)  # whole records that make no sense; among the reasons as well
    exit_code: int | None = None
    exit_signal: int | None = None
    duration_s: float = 0.0
    has_exit: bool = False
    being_written: bool = False
    sealed: bool = False
    file: FrameFile | None = field(default=None, repr=False, compare=False)
    """From which answers are still read."""

    @property
    def descriptor(self) -> int | None:
        """The open file, which a forked process that reads on must keep."""
        return None if self.file is None else self.file.descriptor

    @property
    def status(self) -> str:
        """`open`, `incomplete`, `killed`, `failed` or `ok`; the first that holds."""
        if self.being_written:
            return "open"
        if self.incomplete or self.damage:
            return "incomplete"
        if not self.has_exit or self.exit_signal:
            return "killed"
        return "failed" if self.exit_code else "ok"

    @property
    def in_doubt(self) -> list[int]:
        """Exchanges that were asked and whose answer the recording does not have to its end, because recording ended
        first: whether they took effect nobody here knows. Empty while it is being written."""
        if self.being_written:
            return []
        asked = [e.number for e in self.exchanges if e.ending is None]
        return sorted([*asked, *(c.number for c in self.calls if c.number and c.outcome is None)])

    @property
    def doubt(self) -> str:
        """The same in words, "" when there is none."""
        numbers = self.in_doubt
        if not numbers:
            return ""
        some = ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
        steps = "step" if len(numbers) == 1 else "steps"
        return f"{steps} {some}: asked, and no end of an answer was recorded; it may have taken effect"

    def number_steps(self) -> None:
        """Number exchanges, calls and marks by their start, from 1. Alone, exchanges keep the numbers they have."""
        steps = [call for call in self.calls if call.kind in STEP_KINDS]
        if steps or self.marks:
            started: list[tuple[int, RecordedExchange | RecordedCall | RecordedMark]] = []
            started += [(exchange.opened_ns, exchange) for exchange in self.exchanges]
            started += [(call.asked_ns, call) for call in steps]
            started += [(mark.began_ns, mark) for mark in self.marks]
            for number, (_, each) in enumerate(sorted(started, key=lambda s: s[0]), 1):
                each.number = number

    @property
    def whole(self) -> bool:
        """Whether everything that happened up to its end is in it."""
        return self.status in ("ok", "failed") or (self.status == "killed" and self.has_exit)

    def output(self, fd: int) -> bytes:
        """All bytes of one standard stream."""
        return b"".join(chunk.data for chunk in self.stdio if chunk.fd == fd)

    def lane_of(self, exchange: RecordedExchange) -> str:
        """What people call the lane of an exchange: what the agent's own hook said, else its process."""
        if exchange.lane_mark:
            return self.lane_of_mark(exchange.lane_mark)
        return self.lane_label(exchange.lane)

    def lane_of_mark(self, mark: int) -> str:
        """What people call the lane of that mark; its digits when its process wrote nothing of it. The first process's main
        lane is known without: a disk that is full may have kept its name out."""
        return self.lane_names.get(mark) or ("main" if mark == lane_mark("0", "0") else f"{mark:016x}")

    def lane_label(self, number: int) -> str:
        lane = self.lanes.get(number)
        return lane.label if lane else "main"

    @property
    def created(self) -> str:
        """RFC 3339, UTC."""
        return rfc3339(self.header.created_ns)
