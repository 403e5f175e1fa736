"""What the Pythons of a replay say of themselves, as a part of its verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from playhead.core.boundary import REQUEST
from playhead.core.events import EventKind
from playhead.core.ids import shown
from playhead.core.message import parse_request
from playhead.matching.compare import json_difference
from playhead.matching.divergence import Divergence, DivergenceClass, render
from playhead.player.told import in_its_place
from playhead.runs.leftovers import STILL_RUNNING
from playhead.sessions.call import lane_label, requests_of
from playhead.sessions.inside_step import call_text

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from playhead.runs.slipped import Slip
    from playhead.sessions.model import RecordedExchange, Recording


_COMMAND = "0"  # the process that the launcher started: its end is the end of the recording

_UNNAMED = "unnamed"
"""Marks a timer, a lock or their like that the recording has not, on its way to `in_order`."""


@dataclass(slots=True)
class Inside:
    """Divergences at boundaries inside the agent (as `--summary` has them, each with a `report` in words and `at_ns`),
    steps that were not played, and what else was recorded and not played, in words."""

    divergences: list[dict[str, Any]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    unplayed: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)  # processes that said how they ended
    slips: list[Slip] = field(default_factory=list)  # past the boundaries

    def served(self, recording: Recording) -> int:
        """Steps that were answered inside the agent."""
        missed = set(self.steps)
        return sum(
            c.number not in missed and c.process in self.ended and c.outcome is not None
            for c in recording.calls
            if c.number
        )


def judge_inside(recording: Recording, told: Sequence[dict[str, Any]]) -> Inside:
    """Weigh the reports of the processes against the recording."""
    inside = Inside()
    steps = {(call.process, call.call): call.number for call in recording.calls}
    ended = {}
    started = {facts["process"] for facts in told if "started" in facts}
    played = {facts["process"] for facts in told if "played" in facts}
    for facts in told:
        process = facts["process"]
        if "divergence" in facts and not _is_behind_the_recording(recording, process, facts["divergence"]):
            found = _divergence(recording, steps, process, facts["divergence"])
            inside.divergences.append(found | {"at_ns": facts.get("at_ns", 0)} | _mark(found, facts["divergence"]))
        elif "end" in facts:
            ended[process] = facts["end"]
            inside.ended.add(process)
    for process in recording.inside:
        end = ended.get(process)
        if end is None:
            if process in started and _is_cut(recording, process):
                continue  # it was cut off then, too
            if process in played - {_COMMAND} or (
                process in started and process != _COMMAND and _has_no_order(recording, process)
            ):
                inside.ended.add(process)  # another ended it, as pools end their workers, with nothing left to play
                continue
            inside.unplayed.append(f"process {process} of the recording did not run to its end")
            continue
        for call in end["unplayed"]:
            step = steps.get((process, call["number"]))
            if step:
                inside.steps.append(step)
            else:
                lane = lane_label(process, call["lane"])
                inside.unplayed.append(f"not played: {call['kind']} {call['name']} (lane {lane})")
    return inside


def in_order(
    wire: Sequence[dict[str, Any]],
    inside: Sequence[dict[str, Any]],
    *,
    strict: bool,
    missing: Sequence[dict[str, Any]] = (),
    unplayed: Container[int] | None = None,
) -> list[dict[str, Any]]:
    """The divergences of both as they happened, and what was `missing` at the wire at the end. A strict replay stops at the
    first one: when the wire has refused a request, what the agent then does otherwise inside follows from that, and what it
    does not ask any more from any of them. What a library left out with a step, or did in its place, comes behind that step.
    With `unplayed`, the steps that were not, requests that inside only counts are told as the wire knows them."""
    if unplayed is not None:
        wire, inside, missing = _by_what_they_asked(wire, inside, missing, unplayed)
    refused_ns = min((each["at_ns"] for each in wire), default=None) if strict else None
    told = [*wire, *(each for each in inside if refused_ns is None or each["at_ns"] < refused_ns)]
    told += () if strict and not all(_is_left_with_another(each) for each in told) else missing
    ordered = sorted(told, key=lambda each: (_is_left_with_another(each) or _UNNAMED in each, each["at_ns"]))
    return [{name: value for name, value in each.items() if name != _UNNAMED} for each in ordered]


def _by_what_they_asked(
    wire: Sequence[dict[str, Any]],
    inside: Sequence[dict[str, Any]],
    missing: Sequence[dict[str, Any]],
    unplayed: Container[int],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Requests of a lane are alike to the process: where one is left out, it misses the last of them, which came. The wire
    knows which one it was."""
    known = {each["step"]: each for each in (*missing, *wire) if each["class"] == DivergenceClass.MISSING}
    told: list[dict[str, Any]] = []
    taken: set[int] = set()
    for each in inside:
        step = None
        if each["class"] == DivergenceClass.MISSING and each["step"] and each["step"] not in unplayed:
            lane = (step for step, found in known.items() if found["lane"] == each["lane"] and step not in taken)
            step = min(lane, default=None)
        if step is None:
            told.append(each)
        else:
            taken.add(step)
            told.append(known[step] | {"at_ns": each["at_ns"]})

    def left(side: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in side if each["class"] != DivergenceClass.MISSING or each["step"] not in taken]

    return left(wire), told, left(missing)


def _is_left_with_another(divergence: dict[str, Any]) -> bool:
    """Whether it is missing and no step: a lock, or what a library did for a request."""
    return divergence["class"] == DivergenceClass.MISSING and not divergence["step"]


def _mark(divergence: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """`_UNNAMED` for one more act of a library: another timer, where a connection had to be made that was there before."""
    is_extra = divergence["class"] == DivergenceClass.EXTRA and divergence["step"] is None
    return {_UNNAMED: True} if is_extra and "kind" in facts and not facts.get("name") else {}


def _divergence(
    recording: Recording, steps: dict[tuple[str, int], int], process: str, facts: dict[str, Any]
) -> dict[str, Any]:
    """One divergence as the summary has it, and what to say of it."""
    kind = DivergenceClass(facts["class"])
    due = facts.get("due") or {}
    if kind is DivergenceClass.MISSING and due:
        facts = _not_come(facts, due)
    recorded = facts.get("recorded") or due
    step, nearest = _place_of(recording, steps, process, recorded)
    asked = _asked(facts)
    if recorded.get("kind") == REQUEST and kind is DivergenceClass.REORDERED:
        asked = nearest  # the process does not know what it asks, but that it is the one
    if step is None and due and kind is not DivergenceClass.MISSING:
        step, nearest = _place_of(recording, steps, process, due)
    session = shown(recording.header.id)
    path, expected, observed, column = None, facts.get("expected"), facts.get("observed"), None
    headline = meaning = ""
    if kind is DivergenceClass.EXHAUSTED:
        headline = "the recording has no answer to this"
        meaning = _why_no_answer(recording, process, recorded)
    if kind is DivergenceClass.MISSING and recorded:
        asked, expected, observed = "", expected or nearest, observed or "not asked"
    elif (
        "kind" in facts
        and recorded
        and (recorded.get("kind"), recorded.get("name")) != (facts["kind"], facts.get("name"))
    ):
        path, expected, observed = "$.name", expected or nearest, observed or asked
    elif kind is not DivergenceClass.EXTRA and "arguments" in facts and "arguments" in recorded:
        difference = json_difference(recorded["arguments"].encode(), facts["arguments"].encode())
        if difference is not None:
            path, expected, observed, column = difference[:4]
    divergence = Divergence(
        kind,
        step,
        lane_label(process, facts["lane"]),
        path,
        expected,
        observed,
        f"{session}:{step}" if step else None,
        asked=asked,
        nearest_asked=nearest,
        column=column,
        headline=headline,
        meaning=meaning,
    )
    waiting = facts.get("waiting")
    report = render(divergence, f"playhead inspect {session}:{step}" if step else f"playhead inspect {session}")
    if waiting:
        report += f"\n  waiting:  {', '.join(waiting[:8])}"
    return {**divergence.to_json(), "report": report}


def _not_come(facts: dict[str, Any], due: dict[str, Any]) -> dict[str, Any]:
    """What is told of an act that was due and that nothing brought. It is missing in its own lane, not in that of who waits;
    and what its lane asks behind it says more than a lock, which has no name."""
    facts = {**facts, "lane": due["lane"]}
    if "number" in due:
        return facts
    return {**facts, "recorded": due.get("next"), "expected": in_its_place(due), "observed": "it did not come"}


def _is_cut(recording: Recording, process: str) -> bool:
    """Whether a process of the recording was killed."""
    return not any(event.kind is EventKind.CLOSED for event in recording.inside.get(process, ()))


def _has_no_order(recording: Recording, process: str) -> bool:
    """Whether a process of the recording asked nothing and waited for nothing."""
    return not any(event.kind in (EventKind.ASK, EventKind.ORDER) for event in recording.inside[process])


def _is_behind_the_recording(recording: Recording, process: str, facts: dict[str, Any]) -> bool:
    """Whether a process went on where the recorded one was still running when the command ended: what it did then was not
    recorded, which the recording says, so that it does there proves nothing."""
    if facts["class"] != DivergenceClass.EXHAUSTED or facts.get("recorded") or process == _COMMAND:
        return False
    outlived = any(item.reason == STILL_RUNNING for item in recording.uncaptured)
    return outlived and _is_cut(recording, process)


def _why_no_answer(recording: Recording, process: str, recorded: dict[str, Any]) -> str:
    if not _is_cut(recording, process):
        return "its answer could not be written down"
    if recorded:
        return "the agent was killed during this call: it may have taken effect"
    return "the agent was killed about here, and nothing is recorded from here on"


def _place_of(
    recording: Recording, steps: dict[tuple[str, int], int], process: str, recorded: dict[str, Any]
) -> tuple[int | None, str]:
    """The step of a recorded question, None when it is none, and what it asked."""
    number = recorded.get("number", 0)
    if recorded.get("kind") == REQUEST and number:
        request = requests_of(recording, process).get(number)
        if request is not None:
            return request.number, _line_of(request)
    return steps.get((process, number)) or None, _asked(recorded)


def _line_of(request: RecordedExchange) -> str:
    """A request in one line: `POST api.openai.com/v1/chat/completions`."""
    asked = parse_request(request.head, b"")
    return f"{asked.method} {request.target.authority}{asked.target.partition('?')[0]}"


def _asked(facts: dict[str, Any]) -> str:
    """A question in one line: `tool refund(order_id="A-1")`."""
    if facts.get("kind") == REQUEST and not facts.get("name"):
        return "an answer over HTTP"
    if not facts.get("name"):
        return str(facts.get("kind") or "")
    return f"{facts['kind']} {call_text(facts['name'], facts.get('arguments', ''))}"
