"""A session as people ask about it: its steps, their meaning, its sums."""

from __future__ import annotations

from bisect import bisect_right, insort
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from playhead.errors import UsageError
from playhead.sessions.additions import Additions
from playhead.sessions.call import CallStep, RecordedCall
from playhead.sessions.fact import Fact, total_cost, usage_of
from playhead.sessions.mark import MarkStep, RecordedMark
from playhead.sessions.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from playhead.providers.base import Usage
    from playhead.sessions.header import Header
    from playhead.sessions.model import RecordedExchange, Recording

_Told = TypeVar("_Told")


class Session:
    """A recording with its steps. `session.step(4).request.messages`; `for step in session.steps`."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._facts: list[Fact] | None = None
        self._costs: dict[int, float | None] | None = None

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
    def steps(self) -> list[Step | CallStep | MarkStep]:
        """All steps, numbered from 1 by start."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step | CallStep | MarkStep]:
        additions = Additions()
        for each, parents in self._with_parents():
            if isinstance(each, RecordedCall):
                yield CallStep(self.recording, each, parents)
            elif isinstance(each, RecordedMark):
                yield MarkStep(self.recording, each, parents)
            else:
                yield Step(self.recording, each, parents, additions)

    def step(self, number: int) -> Step | CallStep | MarkStep:
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

    def _with_parents(self) -> list[tuple[RecordedExchange | RecordedCall | RecordedMark, list[int]]]:
        """Each step with the one whose completion its lane saw last before it asked."""
        out: list[tuple[RecordedExchange | RecordedCall | RecordedMark, list[int]]] = []
        ended: dict[str, list[tuple[int, int]]] = {}
        for each in sorted(self._numbered(), key=lambda e: e.number):
            if isinstance(each, RecordedCall):
                lane, begun, done = each.lane, each.asked_ns, each.told_ns
            elif isinstance(each, RecordedMark):
                lane, begun, done = each.lane, each.began_ns, each.ended_ns
            else:
                lane, begun = self.recording.lane_of(each), each.opened_ns
                done = each.ended_ns if each.ending is not None else 0
            over = ended.setdefault(lane, [])  # sorted: a session may have many thousands of steps
            before = bisect_right(over, (begun, each.number))
            out.append((each, [over[before - 1][1]] if before else []))
            if done:
                insort(over, (done, each.number))
        return out

    def _numbered(self) -> list[RecordedExchange | RecordedCall | RecordedMark]:
        """What counts as a step."""
        recording = self.recording
        return [*recording.exchanges, *(call for call in recording.calls if call.number), *recording.marks]

    def walk(self, *, priced: bool = False) -> Iterator[tuple[Step | CallStep | MarkStep, Fact]]:
        """Each step with its fact, in order. The steps are not kept: what is decoded of one goes with it. `priced`
        finds the costs on the way."""
        told: set[str] = set()
        facts = []
        costs: dict[int, float | None] = {}
        kept = self.__dict__.get("steps")
        for step in kept or self._steps():
            fact = Fact.of(step, told)
            facts.append(fact)
            if priced:
                costs[step.number] = 0.0 if fact.repeats else step.cost_usd
            yield step, fact
        self._facts = facts
        if priced:
            self._costs = costs

    def each(self, tell: Callable[[Step | CallStep | MarkStep, float | None], _Told]) -> list[_Told]:
        """What `tell` makes of each step and its cost, in order; no step is kept."""
        known = self._costs
        return [
            tell(step, known[fact.number] if known is not None else 0.0 if fact.repeats else step.cost_usd)
            for step, fact in self.walk(priced=known is None)
        ]

    @property
    def facts(self) -> list[Fact]:
        """All steps in short."""
        if self._facts is None:
            for _ in self.walk():
                pass
        return self._facts or []

    @cached_property
    def usage(self) -> Usage:
        """The sum over all steps; a count that no step reported is None."""
        return usage_of(self.facts)

    @property
    def costs(self) -> dict[int, float | None]:
        """US dollars by step number, at the recorded date; None where no price is known, or there was no model."""
        if self._costs is None:
            for _ in self.walk(priced=True):
                pass
        return self._costs or {}

    def know_costs(self, costs: Mapping[int, float | None]) -> None:
        """Take costs that were found before, by step number; not if they are of other steps."""
        if costs.keys() == {each.number for each in self._numbered()}:
            self._costs = dict(costs)

    @property
    def cost_usd(self) -> float | None:
        """The sum over all model calls; None when there was none, or when the cost of one is not known."""
        return total_cost(self.facts, self.costs)

    def counts(self) -> dict[str, Any]:
        """`steps`, `llm_calls`, `tool_calls`, `exchanges`, `lanes`, `routes` as a summary has them."""
        exchanges = self.recording.exchanges
        routes: dict[str, int] = {"base-url": 0, "proxy": 0, "hook": 0}
        for exchange in exchanges:
            routes[exchange.route] = routes.get(exchange.route, 0) + 1
        return {
            "steps": len(self.facts),
            "llm_calls": sum(fact.kind == "llm" for fact in self.facts),
            "tool_calls": sum(fact.kind == "tool" for fact in self.facts),
            "exchanges": len(exchanges),
            "lanes": max(1, len({fact.lane for fact in self.facts})),
            "routes": routes,
        }

    def answers(self) -> int:
        """How many answers a replay is to give: all exchanges and calls, but for those that another call made on its way."""
        recording = self.recording
        asked = sum(not exchange.within for exchange in recording.exchanges)
        return asked + sum(bool(call.number) for call in recording.calls)

    def not_captured(self) -> list[dict[str, Any]]:
        """What was seen and not recorded, and what was recorded and cannot be replayed yet."""
        merged: dict[tuple[str, str], int] = {}
        for item in self.recording.uncaptured:
            key = (item.host, item.reason)
            merged[key] = merged.get(key, 0) + item.bytes
        for exchange in self.recording.exchanges:
            if exchange.protocol != "http/1.1" and not (exchange.protocol == "websocket" and exchange.sent):
                key = (exchange.target.authority, f"{exchange.protocol}: recorded, not replayable yet")
                merged[key] = merged.get(key, 0) + sum(len(c.data) for c in exchange.chunks)
        return [{"host": host, "reason": reason, "bytes": size} for (host, reason), size in merged.items()]

    def tools_shown(self) -> list[str]:
        """Names of the tools that the models' answers called: without a boundary of their own they run in a replay."""
        recorded = {call.name.rpartition(".")[2] for call in self.recording.calls if call.kind == "tool"}
        return sorted({name for fact in self.facts for name in fact.tools} - recorded)

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
            "step_count": len(self.facts),
            "in_doubt": self.recording.in_doubt,
            **{k: v for k, v in self.counts().items() if k in ("llm_calls", "tool_calls")},
            "models": sorted({fact.model for fact in self.facts if fact.model}),
            "usage": self.usage.to_json(),
            "cost_usd": self.cost_usd,
        }

    def to_json(self) -> dict[str, Any]:
        """The object of `inspect --json`."""
        steps = self.each(lambda step, cost: step.to_json(cost_usd=cost))
        return {**self.summary(), "not_captured": self.not_captured(), "steps": steps}
