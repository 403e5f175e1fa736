"""What a session's sums need to know of each step: little enough to keep for all steps of a long session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from playhead.providers.base import Usage
from playhead.sessions.inside_step import InsideStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from playhead.sessions.step import Step


@dataclass(frozen=True, slots=True)
class Fact:
    """One step in short. `repeats`: it tells an answer again that an earlier step told, so its tokens and its cost
    count once only."""

    number: int
    kind: str
    lane: str
    status: str
    model: str | None
    tools: tuple[str, ...]  # called in the answer
    usage: Usage | None
    repeats: bool = False

    @classmethod
    def of(cls, step: Step | InsideStep, told: set[str]) -> Fact:
        """Of a step; `told` are ids of answers whose usage is known from earlier ones, and grows."""
        response = step.response
        repeats = False
        if response is not None and not isinstance(step, InsideStep):
            repeats = step.asked.method == "GET" and response.id in told
            if response.id and response.usage.total_tokens is not None:
                told.add(response.id)
        return cls(
            step.number,
            step.kind,
            step.lane,
            step.status,
            step.model,
            tuple(call.name for call in response.tool_calls) if response is not None else (),
            response.usage if response is not None else None,
            repeats,
        )

    @property
    def may_be_free(self) -> bool:
        """Whether no cost is known of it because there was none: no model, or an error that used nothing."""
        return (
            self.kind != "llm" or self.repeats or (self.status != "ok" and not (self.usage and self.usage.total_tokens))
        )


def usage_of(facts: Iterable[Fact]) -> Usage:
    """The sum over steps; a count that no step reported is None."""
    each = [fact.usage.to_json() for fact in facts if fact.usage is not None and not fact.repeats]
    sums = {}
    for name in Usage().to_json():
        known = [usage[name] for usage in each if usage[name] is not None]
        sums[name] = sum(known) if known else None
    return Usage(**sums)


def total_cost(facts: Iterable[Fact], costs: Mapping[int, float | None]) -> float | None:
    """The sum over all model calls; None when there was none, or when the cost of one is not known."""
    calls = [fact for fact in facts if fact.kind == "llm"]
    each = [costs[fact.number] for fact in calls]
    if not calls or any(cost is None and not fact.may_be_free for fact, cost in zip(calls, each, strict=True)):
        return None
    return round(sum(cost for cost in each if cost is not None), 12)
