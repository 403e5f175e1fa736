"""Calls at the boundaries inside the agent's own processes: tools and their like, as recorded and as steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playhead.core.boundary import REQUEST, Outcome, lane_mark
from playhead.core.events import EventKind, Flag
from playhead.sessions.inside_step import InsideStep, call_text, json_or_text, raised_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from playhead.core.events import Event
    from playhead.sessions.model import RecordedExchange, Recording

STEP_KINDS = {"tool": "tool", "boundary": "tool"}
"""Kinds of calls that people count as steps, and as what; the others (timers, sleeps, ...) are how the agent works."""


@dataclass(slots=True, eq=False)
class RecordedCall:
    """One call as its process wrote it. `number` is its step, 0 if it is none; `call` its number in its process.
    Times are monotonic; `told_ns` 0 = no answer was written."""

    process: str
    call: int
    lane: str
    kind: str
    name: str
    effect: str
    arguments: bytes
    asked_ns: int
    number: int = 0
    told_ns: int = 0
    outcome: Outcome | None = None
    asked_redacted: bool = False
    lossy: bool = False


def calls_of(process: str, events: Iterable[Event]) -> Iterator[RecordedCall]:
    """The calls of one process, in the order in which they were asked. Raises KeyError, ValueError or TypeError for events
    that make no sense."""
    paths: dict[int, str] = {}
    calls: dict[int, RecordedCall] = {}
    for event in events:
        if event.kind is EventKind.LANE:
            paths[event.subject] = str(event.meta["key"])
        elif event.kind is EventKind.ASK:
            meta = event.meta
            if meta.get("passed"):
                continue  # HTTP: the engine has it
            calls[event.subject] = RecordedCall(
                process,
                event.subject,
                lane_label(process, paths[meta["lane"]]),
                str(meta["kind"]),
                str(meta["name"]),
                str(meta.get("effect", "")),
                event.body,
                event.t_ns,
                asked_redacted=bool(event.flags & Flag.REDACTED),
            )
        elif event.kind is EventKind.TOLD and event.subject in calls:
            call = calls[event.subject]
            call.told_ns = event.t_ns
            call.outcome = Outcome(bool(event.meta.get("raised")), event.body)
            call.lossy = bool(event.flags & Flag.REDACTED)
    return iter(calls.values())


def requests_of(recording: Recording, process: str) -> dict[int, RecordedExchange]:
    """The exchange of each request that a process asked at its boundary, by the number of that call. A process asks, and the
    engine hears it, so neither has the other's numbers: those of a lane come in the same order, and where one of them came
    to nothing, next to each other in time. Raises KeyError for events that make no sense."""
    paths: dict[int, str] = {}
    asked: dict[str, list[Event]] = {}
    for event in recording.inside.get(process, ()):
        if event.kind is EventKind.LANE:
            paths[event.subject] = str(event.meta["key"])
        elif event.kind is EventKind.ASK and event.meta.get("passed") and event.meta["kind"] == REQUEST:
            asked.setdefault(paths[event.meta["lane"]], []).append(event)
    found: dict[int, RecordedExchange] = {}
    for path, asks in asked.items():
        mark = lane_mark(process, path)
        heard = sorted(
            (e for e in recording.exchanges if e.lane_mark == mark and e.orders), key=lambda e: e.opened_order
        )
        if len(heard) == len(asks):
            found |= {ask.subject: each for ask, each in zip(asks, heard, strict=True)}
        elif heard:
            found |= {ask.subject: min(heard, key=lambda e: abs(e.opened_ns - ask.t_ns)) for ask in asks}
    return found


def lane_label(process: str, path: str) -> str:
    """What people read: `main` for the main thread of the first process, `t2` for its second task, `0.1` for the main
    thread of its first child, `0.1:t2`."""
    own = path.removeprefix("0").removeprefix("/")
    return ":".join(part for part in ("" if process == "0" else process, own) if part) or "main"


class CallStep(InsideStep):
    """A call as people see it."""

    def __init__(self, recording: Recording, call: RecordedCall, parents: list[int]) -> None:
        super().__init__(recording, call.number, call.lane, parents, call.asked_ns, call.told_ns)
        self.call = call

    @property
    def kind(self) -> str:
        return STEP_KINDS[self.call.kind]

    @property
    def status(self) -> str:
        """`ok`; `error` when it raised; `aborted` when no answer was written."""
        if self.call.outcome is None:
            return "aborted"
        return "error" if self.call.outcome.raised else "ok"

    @property
    def lossy(self) -> bool:  # type: ignore[override]
        """Whether redaction changed its answer."""
        return self.call.lossy

    @property
    def answer_text(self) -> str:
        """What it returned or raised, as JSON; "" when that is not known."""
        return self.call.outcome.body.decode("utf-8", "replace") if self.call.outcome is not None else ""

    @property
    def said(self) -> str:
        """`refund(order_id="A-1") -> "done"`."""
        asked = call_text(self.call.name, self.call.arguments)
        if self.call.outcome is None:
            return asked if self._recording.being_written else f"in doubt: {asked}"
        if self.call.outcome.raised:
            return f"{asked} raised {raised_text(self.call.outcome.body)}"
        return f"{asked} -> {self.answer_text}"

    def searchable(self) -> Iterator[str]:
        """Its words, for full-text search."""
        yield self.call.name
        yield self.call.arguments.decode("utf-8", "replace")
        yield self.answer_text

    def asked_and_answered(self) -> tuple[Any, Any]:
        call = self.call
        asked = {"tool": call.name, "effect": call.effect or None, "arguments": json_or_text(call.arguments)}
        if call.outcome is None:
            return asked, None
        return asked, {"raised": call.outcome.raised, "value": json_or_text(call.outcome.body)}

    def bytes_of(self) -> tuple[bytes, bytes]:
        return self.call.arguments, self.call.outcome.body if self.call.outcome is not None else b""
