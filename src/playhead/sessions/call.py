"""Calls at the boundaries inside the agent's own processes: tools and their like, as recorded and as steps."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playhead.core.boundary import Outcome
from playhead.core.events import EventKind, Flag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from playhead.core.events import Event
    from playhead.sessions.model import Recording

STEP_KINDS = {"tool": "tool", "boundary": "tool"}
"""Kinds of calls that people count as steps, and as what; the others (timers, sleeps, ...) are how the agent works."""

TITLE_LENGTH = 100


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


def lane_label(process: str, path: str) -> str:
    """What people read: `main` for the main thread of the first process, `t2` for its second task, `0.1` for the main
    thread of its first child, `0.1:t2`."""
    own = path.removeprefix("0").removeprefix("/")
    return ":".join(part for part in ("" if process == "0" else process, own) if part) or "main"


class CallStep:
    """A call as people see it; has what Step has, for code that shows steps."""

    provider = None
    request = None
    response = None
    model = None
    ttft_s = None
    cost_usd = None
    lost = ""
    is_playable = True

    def __init__(self, recording: Recording, call: RecordedCall, parents: list[int]) -> None:
        self._recording = recording
        self.call = call
        self.number = call.number
        self.parents = parents

    @property
    def address(self) -> str:
        """`7f3a2b9c:4`."""
        return f"{self._recording.header.id[:8]}:{self.number}"

    @property
    def lane(self) -> str:
        return self.call.lane

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
    def lossy(self) -> bool:
        """Whether redaction changed its answer."""
        return self.call.lossy

    @property
    def answer_text(self) -> str:
        """What it returned or raised, as JSON; "" when that is not known."""
        return self.call.outcome.body.decode("utf-8", "replace") if self.call.outcome is not None else ""

    @property
    def title(self) -> str:
        """One line: `refund(order_id="A-1") -> "done"`."""
        asked = call_text(self.call.name, self.call.arguments)
        if self.call.outcome is None:
            text = asked if self._recording.being_written else f"in doubt: {asked}"
        elif self.call.outcome.raised:
            text = f"{asked} raised {raised_text(self.call.outcome.body)}"
        else:
            text = f"{asked} -> {self.answer_text}"
        text = " ".join(text.split())
        return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 3] + "..."

    @property
    def started_s(self) -> float:
        """Seconds since the run began."""
        return (self.call.asked_ns - self._recording.started_ns) / 1e9

    @property
    def wall_ns(self) -> int:
        """Wall-clock time of its start."""
        return self._recording.header.created_ns + self.call.asked_ns - self._recording.started_ns

    @property
    def duration_s(self) -> float | None:
        return (self.call.told_ns - self.call.asked_ns) / 1e9 if self.call.told_ns else None

    def searchable(self) -> Iterator[str]:
        """Its words, for full-text search."""
        yield self.call.name
        yield self.call.arguments.decode("utf-8", "replace")
        yield self.answer_text

    def to_json(self, *, cost_usd: float | None = None, whole: bool = False, raw: bool = False) -> dict[str, Any]:
        """The object of `inspect --json`, as `Step.to_json`."""
        call = self.call
        data: dict[str, Any] = {
            "step": self.number,
            "kind": self.kind,
            "lane": self.lane,
            "title": self.title,
            "provider": None,
            "model": None,
            "started_s": round(self.started_s, 6),
            "duration_s": None if self.duration_s is None else round(self.duration_s, 6),
            "ttft_s": None,
            "status": self.status,
            "usage": None,
            "cost_usd": cost_usd,
            "stop_reason": None,
            "parents": self.parents,
            "origin": "edited" if self.number in self._recording.header.edited else "recorded",
            "ending": "complete" if call.outcome is not None else None,
            "lossy": self.lossy,
        }
        if whole:
            data["request"] = {"tool": call.name, "effect": call.effect or None, "arguments": _json(call.arguments)}
            data["response"] = (
                None if call.outcome is None else {"raised": call.outcome.raised, "value": _json(call.outcome.body)}
            )
        if raw:
            answer = call.outcome.body if call.outcome is not None else b""
            data["raw"] = {
                "request": {"bytes": b64encode(call.arguments).decode()},
                "response": {"bytes": b64encode(answer).decode()},
            }
        return data


def call_text(name: str, arguments: bytes | str) -> str:
    """A call as code has it: `weather(city="Paris", days=2)`; what is not JSON stands as it is."""
    told = _json(arguments)
    if isinstance(told, dict):
        told = ", ".join(f"{each}={json.dumps(value, ensure_ascii=False)}" for each, value in told.items())
    return f"{name}({'' if told is None else told})"


def raised_text(body: bytes) -> str:
    """An exception as its class and arguments, as far as its stored form says so."""
    told = _json(body)
    if isinstance(told, dict):
        name = str(told.get("c") or told.get("class") or "").rpartition(":")[2]
        arguments = told.get("args") or told.get("a") or []
        if name:
            return f"{name}({', '.join(json.dumps(a, ensure_ascii=False) for a in arguments)})"
    return body.decode("utf-8", "replace")


def _json(data: bytes | str) -> Any:
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace") if isinstance(data, bytes) else data
