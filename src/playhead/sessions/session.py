"""A session as people ask about it: its steps, their meaning, its sums."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from playhead.errors import UsageError
from playhead.providers.base import Usage
from playhead.sessions.step import Step

if TYPE_CHECKING:
    from playhead.sessions.model import Header, Recording


class Session:
    """A recording with its steps. `session.step(4).request.messages`; `for step in session.steps`."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    @property
    def header(self) -> Header:
        return self.recording.header

    @property
    def id(self) -> str:
        return self.recording.header.id

    @property
    def status(self) -> str:
        """`ok`, `failed`, `killed`, `incomplete` or `open`."""
        return self.recording.status

    @cached_property
    def steps(self) -> list[Step]:
        """All steps, numbered from 1 by start."""
        return [Step(self.recording, exchange, parents) for exchange, parents in self._with_parents()]

    def step(self, number: int) -> Step:
        """The step of that number. Raises UsageError."""
        for step in self.steps:
            if step.number == number:
                return step
        raise UsageError(
            f"This session has no step {number}.",
            code="no-such-step",
            where=self.id,
            expected=f"1 to {len(self.steps)}" if self.steps else "no steps at all were recorded",
            todo=f"playhead inspect {self.id[:8]}",
        )

    def _with_parents(self) -> list[tuple[Any, list[int]]]:
        """Each exchange with the step whose completion its lane saw last before it asked."""
        out = []
        ended: dict[int, list[tuple[int, int]]] = {}
        for exchange in self.recording.exchanges:
            before = [(order, n) for order, n in ended.get(exchange.lane, []) if order < exchange.opened_order]
            out.append((exchange, [max(before)[1]] if before else []))
            if exchange.ending is not None:
                ended.setdefault(exchange.lane, []).append((exchange.ended_order, exchange.number))
        return out

    @cached_property
    def usage(self) -> Usage:
        """The sum over all steps; a count that no step reported is None."""
        each = []
        counted: set[str] = set()
        for step in self.steps:
            response = step.response
            if response is None or (step.asked.method == "GET" and response.id in counted):
                continue  # an answer that is retrieved again repeats the usage of its first telling
            if response.id and response.usage.total_tokens is not None:
                counted.add(response.id)
            each.append(response.usage.to_json())
        sums = {}
        for name in Usage().to_json():
            known = [usage[name] for usage in each if usage[name] is not None]
            sums[name] = sum(known) if known else None
        return Usage(**sums)

    def counts(self) -> dict[str, Any]:
        """`steps`, `llm_calls`, `tool_calls`, `exchanges`, `lanes`, `routes` as a summary has them."""
        exchanges = self.recording.exchanges
        routes: dict[str, int] = {"base-url": 0, "proxy": 0, "hook": 0}
        for exchange in exchanges:
            routes[exchange.route] = routes.get(exchange.route, 0) + 1
        return {
            "steps": len(self.steps),
            "llm_calls": sum(step.kind == "llm" for step in self.steps),
            "tool_calls": sum(step.kind == "tool" for step in self.steps),
            "exchanges": len(exchanges),
            "lanes": max(1, len({e.lane for e in exchanges})),
            "routes": routes,
        }

    def not_captured(self) -> list[dict[str, Any]]:
        """What was seen and not recorded, and what was recorded and cannot be replayed yet."""
        merged: dict[tuple[str, str], int] = {}
        for item in self.recording.uncaptured:
            key = (item.host, item.reason)
            merged[key] = merged.get(key, 0) + item.bytes
        for exchange in self.recording.exchanges:
            if exchange.protocol != "http/1.1":
                key = (exchange.target.authority, f"{exchange.protocol}: recorded, not replayable yet")
                merged[key] = merged.get(key, 0) + sum(len(c.data) for c in exchange.chunks)
        return [{"host": host, "reason": reason, "bytes": size} for (host, reason), size in merged.items()]

    def tools_shown(self) -> list[str]:
        """Names of the tools that the models' answers called: without a boundary of their own they run in a replay."""
        return sorted({call.name for step in self.steps if step.response for call in step.response.tool_calls})

    def summary(self) -> dict[str, Any]:
        """The object of `list --json`: the header of `inspect --json` without its steps."""
        header = self.header
        return {
            "session": header.id,
            "name": header.name or None,
            "created": self.recording.created,
            "command": header.command,
            "status": self.status,
            "parent": header.parent,
            "tags": header.tags,
            "duration_s": round(self.recording.duration_s, 6),
            "exit_code": self.recording.exit_code,
            "step_count": len(self.steps),
            **{k: v for k, v in self.counts().items() if k in ("llm_calls", "tool_calls")},
            "models": sorted({s.model for s in self.steps if s.model}),
            "usage": self.usage.to_json(),
            "cost_usd": None,
        }

    def to_json(self) -> dict[str, Any]:
        """The object of `inspect --json`."""
        return {**self.summary(), "not_captured": self.not_captured(), "steps": [step.to_json() for step in self.steps]}
